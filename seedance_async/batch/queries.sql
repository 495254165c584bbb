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

-- name: begin_attempt
INSERT INTO attempt (row, n, state, submitted_at, estimate) VALUES (?, ?, 'submitting', ?, ?)

-- name: begin_attempt_again
UPDATE attempt
SET state = 'submitting', submitted_at = ?, estimate = coalesce(?, estimate),
    error_kind = NULL, error_code = NULL, error_message = NULL
WHERE id = ?

-- name: begin_row
UPDATE row SET state = 'submitting', attempt = ?, attempts = ? WHERE id = ?

-- name: set_row_state
UPDATE row SET state = ? WHERE id = ?

-- name: set_attempt_error
UPDATE attempt SET state = ?, error_kind = ?, error_message = ? WHERE id = ?

-- name: accept_attempt
UPDATE attempt
SET state = 'submitted', request_id = ?, accepted_at = ?,
    error_kind = NULL, error_code = NULL, error_message = NULL
WHERE id = ?

-- name: finish_attempt
UPDATE attempt
SET state = ?, cost = coalesce(?, cost), finished_at = ?, video_url = ?,
    error_kind = ?, error_code = ?, error_message = ?
WHERE id = ?

-- What is told again may bring a cost that was missing and a fresher URL.
-- name: refresh_attempt
UPDATE attempt SET cost = coalesce(cost, ?), video_url = coalesce(?, video_url) WHERE id = ?

-- name: close_attempt
UPDATE attempt SET state = 'not_billed', error_kind = 'NotBilled', error_message = ? WHERE id = ?

-- name: plan_row_again
UPDATE row SET state = 'planned', attempt = NULL WHERE id = ?

-- name: retry_rows
UPDATE row SET state = 'planned', attempt = NULL WHERE state = ? AND line IS NOT NULL

-- name: download_row
UPDATE row
SET state = 'downloaded', file = ?, bytes = ?, sha256 = ?, download_error = NULL
WHERE id = ?

-- name: give_up_download
UPDATE row SET download_error = ? WHERE id = ?

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

-- The plan: `staging` is the attached file that staging.py fills --------------------------------

-- name: plan_is_empty
SELECT NOT EXISTS (SELECT 1 FROM row)

-- name: plan_skip
DELETE FROM staging.name WHERE line IN (SELECT line FROM staging.conflict)

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

-- name: next_planned
SELECT line, key, model_id, input FROM row
WHERE state = 'planned' AND line > ?
ORDER BY line LIMIT ?

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

-- name: ready_videos
SELECT a.id, r.key, a.request_id, a.video_url
FROM row r JOIN attempt a ON a.id = r.attempt
WHERE r.state = 'succeeded' AND (r.download_error IS NULL OR ?) AND a.id > ?
ORDER BY a.id LIMIT ?

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

-- name: row_of_key
SELECT r.id, r.key, r.line, r.model_id, r.state, a.request_id, a.video_url, r.file, r.bytes,
  r.sha256, a.cost, r.attempts - (a.state IS 'planned'), a.error_kind, a.error_code,
  a.error_message, r.download_error, a.submitted_at, a.finished_at
FROM row r LEFT JOIN attempt a ON a.id = r.attempt
WHERE r.key = ?

-- name: counts
SELECT state, count(*) FROM row GROUP BY state

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

-- name: dearest
SELECT model_id, what, max(cost) FROM (
  SELECT r.model_id, a.cost, CASE WHEN json_valid(r.input)
    THEN json_extract(r.input, '$.resolution', '$.duration', '$.generate_audio') END AS what
  FROM attempt a JOIN row r ON r.id = a.row
  WHERE a.cost IS NOT NULL)
GROUP BY model_id, what
