-- The ledger's tables. A version is a step from the one before; released steps never change.
-- Money is in micro-dollars, times are wall-clock seconds since the epoch.

-- name: 1
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE row (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  line INTEGER,
  digest TEXT NOT NULL,
  occurrence INTEGER,
  model_id TEXT NOT NULL,
  input TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'planned' CHECK (state IN (
    'planned', 'submitting', 'in_doubt', 'submitted', 'timed_out', 'succeeded', 'downloaded',
    'failed', 'cancelled', 'lost')),
  attempt INTEGER REFERENCES attempt (id),
  attempts INTEGER NOT NULL DEFAULT 0,
  file TEXT,
  bytes INTEGER,
  sha256 TEXT,
  download_error TEXT
);
CREATE UNIQUE INDEX row_key ON row (key);
CREATE INDEX row_line ON row (line);
CREATE INDEX row_state ON row (state, line);
CREATE TABLE attempt (
  id INTEGER PRIMARY KEY,
  row INTEGER NOT NULL REFERENCES row (id),
  n INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN (
    'planned', 'submitting', 'in_doubt', 'not_billed', 'submitted', 'timed_out', 'succeeded',
    'failed', 'cancelled', 'lost')),
  request_id TEXT UNIQUE,
  estimate INTEGER,
  cost INTEGER,
  submitted_at REAL NOT NULL,
  accepted_at REAL,
  finished_at REAL,
  error_kind TEXT,
  error_code INTEGER,
  error_message TEXT,
  video_url TEXT,
  UNIQUE (row, n)
);

-- name: 2
ALTER TABLE attempt ADD COLUMN more_videos TEXT;
ALTER TABLE row ADD COLUMN download_final INTEGER NOT NULL DEFAULT 0;
UPDATE row SET download_final = 1 WHERE download_error IS NOT NULL;
CREATE INDEX row_file ON row (file COLLATE NOCASE) WHERE file IS NOT NULL;
CREATE INDEX row_fold ON row (lower(key)) WHERE key <> lower(key);
CREATE TABLE invalid (
  id INTEGER PRIMARY KEY,
  line INTEGER NOT NULL,
  key TEXT,
  field TEXT,
  rule TEXT NOT NULL,
  value TEXT
);
CREATE INDEX invalid_line ON invalid (line);

-- The service's times are by its clock; a row's download is that of its current attempt.
-- name: 3
ALTER TABLE attempt ADD COLUMN in_progress_at REAL;
ALTER TABLE attempt ADD COLUMN service_created_at REAL;
ALTER TABLE attempt ADD COLUMN service_finished_at REAL;
ALTER TABLE attempt ADD COLUMN polls INTEGER;
ALTER TABLE row ADD COLUMN download_began_at REAL;
ALTER TABLE row ADD COLUMN downloaded_at REAL;
