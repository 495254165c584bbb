-- The ledger's statements, by name. They run on SQLite 3.25 or newer.

-- name: meta
SELECT name, value FROM meta

-- name: set_meta
INSERT INTO meta (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- Changes: each looks first, then writes ------------------------------------------------------

-- name: current
SELECT r.id, r.line, r.state, r.attempt, r.attempts, a.state, a.request_id, a.submitted_at
FROM row r LEFT JOIN attempt a ON a.id = r.attempt
WHERE r.key = ?

-- name: owner
SELECT r.key, a.n FROM attempt a JOIN row r ON r.id = a.row WHERE a.request_id = ?

-- name: last_attempt
SELECT coalesce(max(id), 0) FROM attempt

-- name: begin_attempt
INSERT INTO attempt (id, row, n, state, submitted_at, estimate) VALUES (?, ?, ?, 'submitting', ?, ?)

-- name: begin_attempt_again
UPDATE attempt
SET state = 'submitting', submitted_at = ?, estimate = coalesce(?, estimate),
    error_kind = NULL, error_code = NULL, error_message = NULL
WHERE id = ?

-- The rows of all attempts that begin in one commit, their numbers as a JSON array.
-- name: begin_rows
UPDATE row SET state = 'submitting',
  (attempt, attempts) = (SELECT id, n FROM attempt WHERE row = row.id ORDER BY n DESC LIMIT 1)
WHERE id IN (SELECT value FROM json_each(?))

-- name: set_row_states
UPDATE row SET state = ? WHERE id IN (SELECT value FROM json_each(?))

-- name: set_attempt_error
UPDATE attempt SET state = ?, error_kind = ?, error_message = ? WHERE id = ?

-- name: accept_attempt
UPDATE attempt
SET state = 'submitted', request_id = ?, accepted_at = ?,
    error_kind = NULL, error_code = NULL, error_message = NULL
WHERE id = ?

-- name: finish_attempt
UPDATE attempt
SET state = ?, cost = coalesce(?, cost), finished_at = ?, video_url = ?, more_videos = ?,
    error_kind = ?, error_code = ?, error_message = ?,
    in_progress_at = coalesce(in_progress_at, ?), service_created_at = ?, service_finished_at = ?,
    polls = ?
WHERE id = ?

-- What is told again may bring a cost that was missing and fresher URLs.
-- name: refresh_attempt
UPDATE attempt
SET cost = coalesce(cost, ?), video_url = coalesce(?, video_url),
    more_videos = coalesce(?, more_videos)
WHERE id = ?

-- name: close_attempt
UPDATE attempt SET state = 'not_billed', error_kind = 'NotBilled', error_message = ? WHERE id = ?

-- name: plan_row_again
UPDATE row SET state = 'planned', attempt = NULL WHERE id = ?

-- name: retry_rows
UPDATE row SET state = 'planned', attempt = NULL WHERE state = ? AND line <= ?

-- name: retry_keys
UPDATE row SET state = 'planned', attempt = NULL
WHERE key IN (SELECT value FROM json_each(?)) AND +state = ? AND +line <= ?

-- name: download_row
UPDATE row
SET state = 'downloaded', file = ?, bytes = ?, sha256 = ?, download_error = NULL,
    download_final = 0, download_began_at = ?, downloaded_at = ?
WHERE id = ?

-- name: fail_download
UPDATE row SET download_error = ?, download_final = ? WHERE id = ?

-- name: job_is_missing
SELECT r.key FROM row r LEFT JOIN attempt a ON a.id = r.attempt
WHERE r.state IN ('submitted', 'timed_out', 'succeeded')
  AND (a.request_id IS NULL OR a.state <> r.state)
LIMIT 1

-- name: was_used
SELECT EXISTS (SELECT 1 FROM attempt)

-- Recovery -------------------------------------------------------------------------------------

-- name: doubt_attempts
UPDATE attempt
SET state = 'in_doubt', error_kind = 'Interrupted', error_message = ?
WHERE id IN (SELECT attempt FROM row WHERE state = 'submitting')

-- name: doubt_rows
UPDATE row SET state = 'in_doubt' WHERE state = 'submitting'

-- name: void_attempts
UPDATE attempt
SET state = 'not_billed', error_kind = 'Interrupted', error_message = ?
WHERE id IN (SELECT attempt FROM row WHERE state IN ('submitting', 'submitted', 'timed_out'))

-- name: void_rows
UPDATE row SET state = 'planned', attempt = NULL
WHERE state IN ('submitting', 'submitted', 'timed_out')

-- name: void_videos
UPDATE attempt
SET state = 'not_billed', error_kind = 'Interrupted', error_message = ?
WHERE id IN (SELECT attempt FROM row WHERE state = 'succeeded' AND line IS NOT NULL)

-- name: forget_videos
UPDATE row SET state = 'planned', attempt = NULL, download_error = NULL, download_final = 0
WHERE state = 'succeeded' AND line IS NOT NULL

-- The plan: `staging` is the attached file that staging.py fills --------------------------------

-- name: plan_is_empty
SELECT NOT EXISTS (SELECT 1 FROM row)

-- name: plan_count_skipped
SELECT count(DISTINCT line) FROM staging.problem

-- name: plan_skip
DELETE FROM staging.name WHERE line IN (SELECT line FROM staging.problem)

-- name: plan_forget_invalid
DELETE FROM invalid

-- name: plan_keep_invalid
INSERT INTO invalid (line, key, field, rule, value)
SELECT line, key, field, rule, value FROM staging.problem ORDER BY line, id

-- name: plan_count_gone
SELECT count(*) FROM row
WHERE line IS NOT NULL AND NOT EXISTS (SELECT 1 FROM staging.name n WHERE n.key = row.key)

-- name: plan_move
UPDATE row SET line = (SELECT n.line FROM staging.name n WHERE n.key = row.key)
WHERE line IS NOT (SELECT n.line FROM staging.name n WHERE n.key = row.key)

-- name: plan_add
INSERT INTO row (key, line, digest, occurrence, model_id, input)
SELECT n.key, n.line, s.digest, n.occurrence, s.model_id, s.input
FROM staging.name n CROSS JOIN staging.staged s ON s.line = n.line
WHERE NOT EXISTS (SELECT 1 FROM row r WHERE r.key = n.key)
ORDER BY n.line

-- name: plan_fill
INSERT INTO row (key, line, digest, occurrence, model_id, input)
SELECT n.key, n.line, s.digest, n.occurrence, s.model_id, s.input
FROM staging.name n CROSS JOIN staging.staged s ON s.line = n.line
ORDER BY n.line

-- name: plan_count
SELECT count(*) FROM staging.name

-- Reading: in pages, so that no reader holds back the writer's checkpoints ----------------------
-- A `+` keeps an index from being used where another one is narrower; keys come as a JSON array.

-- name: next_planned
SELECT line, key, model_id, input FROM row
WHERE state = 'planned' AND line > ? AND line <= ?
ORDER BY line LIMIT ?

-- name: planned_keys
SELECT line, key, model_id, input FROM row
WHERE key IN (SELECT value FROM json_each(?)) AND +state = 'planned' AND +line IS NOT NULL
ORDER BY +line

-- name: known_keys
SELECT key FROM row WHERE key IN (SELECT value FROM json_each(?))

-- name: line_of
SELECT line FROM row WHERE line IS NOT NULL ORDER BY line LIMIT 1 OFFSET ?

-- The first place of a name belongs to the row that was planned first. `lower` folds ASCII only.
-- name: name_is_taken
SELECT EXISTS (
    SELECT 1 FROM row other WHERE other.key = lower(own.key) AND other.id < own.id)
  OR EXISTS (
    SELECT 1 FROM row other
    WHERE lower(other.key) = lower(own.key) AND other.key <> lower(other.key)
      AND other.id < own.id)
FROM row own WHERE own.key = ?

-- name: key_exists
SELECT EXISTS (SELECT 1 FROM row WHERE key = lower(?))
  OR EXISTS (SELECT 1 FROM row WHERE lower(key) = lower(?) AND key <> lower(key))

-- A further video of a row may be called as this row: `fox-2.mp4`.
-- name: further_video
SELECT EXISTS (
  SELECT 1 FROM row r JOIN attempt a ON a.id = r.attempt
  WHERE (r.key = lower(?) OR (lower(r.key) = lower(?) AND r.key <> lower(r.key)))
    AND json_array_length(a.more_videos) + 1 >= ?)

-- name: files
SELECT id, key, file, bytes FROM row WHERE state = 'downloaded' AND id > ? ORDER BY id LIMIT ?

-- name: forget_file
UPDATE row
SET state = 'succeeded', file = NULL, bytes = NULL, sha256 = NULL, download_began_at = NULL,
    downloaded_at = NULL
WHERE id = ?

-- name: file_owner
SELECT key FROM row WHERE file = ? COLLATE NOCASE

-- name: open_jobs
SELECT a.id, r.key, a.request_id, r.model_id, a.accepted_at, r.input, a.estimate,
  r.state = 'timed_out'
FROM row r JOIN attempt a ON a.id = r.attempt
WHERE r.state IN ('submitted', 'timed_out') AND a.id > ?
ORDER BY a.id LIMIT ?

-- name: doubts
SELECT a.id, r.key, r.line, r.model_id, r.input, a.submitted_at, a.error_message, a.estimate
FROM row r JOIN attempt a ON a.id = r.attempt
WHERE r.state = 'in_doubt' AND a.id > ?
ORDER BY a.id LIMIT ?

-- name: ready_listed
SELECT r.line, r.key, a.request_id, a.video_url, a.more_videos
FROM row r JOIN attempt a ON a.id = r.attempt
WHERE r.state = 'succeeded' AND (r.download_final = 0 OR ?) AND r.line > ?
ORDER BY r.line LIMIT ?

-- name: ready_gone
SELECT r.id, r.key, a.request_id, a.video_url, a.more_videos
FROM row r JOIN attempt a ON a.id = r.attempt
WHERE r.state = 'succeeded' AND r.line IS NULL AND (r.download_final = 0 OR ?) AND r.id > ?
ORDER BY r.id LIMIT ?

-- name: rows_listed
SELECT r.line, r.key, r.line, r.model_id, r.state, a.request_id, a.video_url, r.file, r.bytes,
  r.sha256, a.cost, r.attempts - (a.state IS 'planned'), a.error_kind, a.error_code,
  a.error_message, r.download_error, a.submitted_at, a.finished_at
FROM row r LEFT JOIN attempt a ON a.id = r.attempt
WHERE r.line > ?
ORDER BY r.line LIMIT ?

-- name: rows_gone
SELECT r.id, r.key, r.line, r.model_id, r.state, a.request_id, a.video_url, r.file, r.bytes,
  r.sha256, a.cost, r.attempts - (a.state IS 'planned'), a.error_kind, a.error_code,
  a.error_message, r.download_error, a.submitted_at, a.finished_at
FROM row r LEFT JOIN attempt a ON a.id = r.attempt
WHERE r.line IS NULL AND r.id > ?
ORDER BY r.id LIMIT ?

-- name: full_listed
SELECT r.line, r.id, r.input, a.estimate, a.accepted_at, a.in_progress_at, a.service_created_at,
  a.service_finished_at, a.polls, r.download_began_at, r.downloaded_at, r.key, r.line, r.model_id,
  r.state, a.request_id, a.video_url, r.file, r.bytes, r.sha256, a.cost,
  r.attempts - (a.state IS 'planned'),
  a.error_kind, a.error_code, a.error_message, r.download_error, a.submitted_at, a.finished_at
FROM row r LEFT JOIN attempt a ON a.id = r.attempt
WHERE r.line > ?
ORDER BY r.line LIMIT ?

-- name: full_gone
SELECT r.id, r.id, r.input, a.estimate, a.accepted_at, a.in_progress_at, a.service_created_at,
  a.service_finished_at, a.polls, r.download_began_at, r.downloaded_at, r.key, r.line, r.model_id,
  r.state, a.request_id, a.video_url, r.file, r.bytes, r.sha256, a.cost,
  r.attempts - (a.state IS 'planned'),
  a.error_kind, a.error_code, a.error_message, r.download_error, a.submitted_at, a.finished_at
FROM row r LEFT JOIN attempt a ON a.id = r.attempt
WHERE r.line IS NULL AND r.id > ?
ORDER BY r.id LIMIT ?

-- Attempts that were taken back, or that died with their simulator, are no jobs any more.
-- name: known_jobs
SELECT a.id, a.row, r.model_id,
  CASE WHEN json_valid(r.input) THEN json_extract(r.input, '$.resolution') END,
  a.state, a.estimate, a.cost, a.submitted_at, a.accepted_at, a.finished_at, a.in_progress_at,
  a.service_created_at, a.service_finished_at, a.polls,
  CASE WHEN r.attempt = a.id THEN r.download_began_at END,
  CASE WHEN r.attempt = a.id THEN r.downloaded_at END
FROM attempt a JOIN row r ON r.id = a.row
WHERE a.accepted_at IS NOT NULL AND a.state NOT IN ('planned', 'not_billed') AND a.id > ?
ORDER BY a.id LIMIT ?

-- name: row_of_key
SELECT r.id, r.key, r.line, r.model_id, r.state, a.request_id, a.video_url, r.file, r.bytes,
  r.sha256, a.cost, r.attempts - (a.state IS 'planned'), a.error_kind, a.error_code,
  a.error_message, r.download_error, a.submitted_at, a.finished_at
FROM row r LEFT JOIN attempt a ON a.id = r.attempt
WHERE r.key = ?

-- name: invalid
SELECT id, line, field, rule, value, key FROM invalid WHERE id > ? ORDER BY id LIMIT ?

-- name: invalid_lines
SELECT count(DISTINCT line) FROM invalid

-- name: counts
SELECT state, count(*) FROM row WHERE state <> 'planned' OR line IS NOT NULL GROUP BY state

-- name: counts_through
SELECT s.value, (SELECT count(*) FROM row WHERE state = s.value AND line <= ?) FROM json_each(?) s

-- name: counts_keys
SELECT state, count(*) FROM row
WHERE key IN (SELECT value FROM json_each(?)) AND (+state <> 'planned' OR line IS NOT NULL)
  AND ifnull(line, 9223372036854775807) <= ?
GROUP BY +state

-- name: shapes
SELECT model_id, what, count(*) FROM (
  SELECT model_id, CASE WHEN json_valid(input)
    THEN json_extract(input, '$.resolution', '$.duration', '$.generate_audio') END AS what
  FROM row WHERE state = 'planned' AND line <= ?)
GROUP BY model_id, what

-- name: shapes_keys
SELECT model_id, what, count(*) FROM (
  SELECT model_id, CASE WHEN json_valid(input)
    THEN json_extract(input, '$.resolution', '$.duration', '$.generate_audio') END AS what
  FROM row
  WHERE key IN (SELECT value FROM json_each(?)) AND +state = 'planned' AND +line <= ?)
GROUP BY model_id, what

-- name: unlisted_planned
SELECT count(*) FROM row WHERE state = 'planned' AND line IS NULL

-- A refusal is a failure without an id: nothing was accepted, so nothing stays set aside.
-- name: money
SELECT
  coalesce(sum(CASE WHEN cost IS NOT NULL THEN cost WHEN state = 'succeeded' THEN estimate END), 0),
  coalesce(sum(CASE WHEN cost IS NULL AND state <> 'succeeded' THEN estimate END), 0),
  coalesce(sum(cost IS NULL AND state = 'succeeded'), 0),
  coalesce(sum(cost IS NULL AND state <> 'succeeded' AND estimate IS NULL), 0)
FROM attempt
WHERE state NOT IN ('planned', 'not_billed') AND NOT (state = 'failed' AND request_id IS NULL)

-- name: unsettled
SELECT model_id, what, estimate, succeeded, count(*) FROM (
  SELECT r.model_id, a.estimate, a.state = 'succeeded' AS succeeded, CASE WHEN json_valid(r.input)
    THEN json_extract(r.input, '$.resolution', '$.duration', '$.generate_audio') END AS what
  FROM attempt a JOIN row r ON r.id = a.row
  WHERE a.cost IS NULL AND a.state NOT IN ('planned', 'not_billed')
    AND NOT (a.state = 'failed' AND a.request_id IS NULL))
GROUP BY model_id, what, estimate, succeeded

-- name: paid_attempts
SELECT count(*) FROM attempt
WHERE state NOT IN ('planned', 'not_billed') AND NOT (state = 'failed' AND request_id IS NULL)

-- name: dearest
SELECT model_id, what, max(cost) FROM (
  SELECT r.model_id, a.cost, CASE WHEN json_valid(r.input)
    THEN json_extract(r.input, '$.resolution', '$.duration', '$.generate_audio') END AS what
  FROM attempt a JOIN row r ON r.id = a.row
  WHERE a.cost IS NOT NULL)
GROUP BY model_id, what

-- What took longer than the given seconds was found late, as by a run that came back to it.
-- name: lasted
SELECT r.model_id, CASE WHEN json_valid(r.input)
    THEN json_extract(r.input, '$.resolution', '$.duration', '$.generate_audio') END,
  a.finished_at - a.accepted_at
FROM (
  SELECT row, accepted_at, finished_at FROM attempt
  WHERE state = 'succeeded' AND finished_at - accepted_at BETWEEN 0 AND ?
  ORDER BY id DESC LIMIT ?) a
JOIN row r ON r.id = a.row
