-- The staging file: a manifest on its way into the plan. It is thrown away after a crash, so it
-- keeps no journal; its indexes are made after the rows, by sorting, in little memory.

-- name: tables
CREATE TABLE staged (
  line INTEGER PRIMARY KEY,
  key TEXT,
  digest TEXT NOT NULL,
  model_id TEXT NOT NULL,
  input TEXT NOT NULL
);
CREATE TABLE name (line INTEGER PRIMARY KEY, key TEXT NOT NULL, occurrence INTEGER);
CREATE TABLE conflict (
  line INTEGER PRIMARY KEY, key TEXT NOT NULL, kind TEXT NOT NULL, first_line INTEGER);
CREATE TABLE problem (
  id INTEGER PRIMARY KEY, line INTEGER NOT NULL, key TEXT, field TEXT, rule TEXT NOT NULL,
  value TEXT);

-- name: stage
INSERT INTO staged (line, key, digest, model_id, input) VALUES (?, ?, ?, ?, ?)

-- name: stage_problem
INSERT INTO problem (line, field, rule, value, key) VALUES (?, ?, ?, ?, ?)

-- name: index_digests
CREATE INDEX staged_digest ON staged (digest, line) WHERE key IS NULL

-- name: name_rows
INSERT INTO name (line, key, occurrence)
SELECT line, coalesce(key, derived_key(digest, occurrence)), occurrence FROM (
  SELECT line, digest, NULL AS key,
    row_number() OVER (PARTITION BY digest ORDER BY line) AS occurrence
  FROM staged WHERE key IS NULL
  UNION ALL
  SELECT line, digest, key, NULL FROM staged WHERE key IS NOT NULL)
ORDER BY line

-- name: index_names
CREATE INDEX name_key ON name (key, line)

-- name: find_duplicates
INSERT INTO conflict (line, key, kind, first_line)
SELECT line, key, 'duplicate', first_line FROM (
  SELECT line, key, first_value(line) OVER (PARTITION BY key ORDER BY line) AS first_line FROM name)
WHERE line > first_line

-- name: find_changed
INSERT OR IGNORE INTO conflict (line, key, kind)
SELECT n.line, n.key, 'changed'
FROM ledger.row r CROSS JOIN name n ON n.key = r.key CROSS JOIN staged s ON s.line = n.line
WHERE r.digest <> s.digest

-- name: add_conflicts
INSERT INTO problem (line, key, field, rule)
SELECT line, key, 'key', rule_of(line, key, kind, first_line) FROM conflict ORDER BY line

-- name: index_problems
CREATE INDEX problem_line ON problem (line)

-- name: count_rows
SELECT count(*) FROM staged

-- name: count_problems
SELECT count(*) FROM problem

-- name: count_conflicts
SELECT count(*) FROM conflict

-- name: conflicts
SELECT line, key, kind, first_line FROM conflict WHERE line > ? ORDER BY line LIMIT ?

-- name: problems
SELECT id, line, field, rule, value, key FROM problem
WHERE (line, id) > (?, ?)
ORDER BY line, id LIMIT ?
