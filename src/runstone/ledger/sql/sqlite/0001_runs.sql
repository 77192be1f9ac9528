-- The index of all runs. Everything in it follows from run folders; times are RFC 3339 in UTC, durations seconds.

CREATE TABLE workspace (
    name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
    created_at TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE TABLE pipeline_run (
    run_key INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE CHECK (length(run_id) BETWEEN 1 AND 200),
    workspace TEXT NOT NULL REFERENCES workspace (name),
    kind TEXT NOT NULL DEFAULT 'pipeline' CHECK (kind IN ('pipeline', 'stage')),
    pipeline_id TEXT NOT NULL,
    pipeline_name TEXT NOT NULL,
    pipeline_version TEXT,
    status TEXT NOT NULL CHECK (status IN (
        'scheduled', 'pending', 'running', 'cancelling',
        'completed', 'degraded', 'failed', 'timed_out', 'cancelled', 'crashed'
    )),
    reason TEXT,
    message TEXT NOT NULL DEFAULT '',
    error TEXT,
    variables TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(variables)),
    trigger_kind TEXT NOT NULL DEFAULT 'script',
    job_id TEXT,
    retry_of TEXT,
    replay_of TEXT,
    parent_id TEXT,
    imported_from TEXT,
    trace_id TEXT,
    created_at TEXT NOT NULL,
    scheduled_at TEXT,
    started_at TEXT,
    updated_at TEXT,
    finished_at TEXT,
    cancel_requested_at TEXT,
    duration_seconds REAL CHECK (duration_seconds >= 0),
    priority INTEGER,
    host TEXT,
    driver TEXT CHECK (json_valid(driver)),
    lease_seconds REAL NOT NULL DEFAULT 30 CHECK (lease_seconds > 0),
    progress_done INTEGER NOT NULL DEFAULT 0 CHECK (progress_done >= 0),
    progress_total INTEGER CHECK (progress_total >= 0),
    progress_failed INTEGER NOT NULL DEFAULT 0 CHECK (progress_failed >= 0),
    error_count INTEGER NOT NULL DEFAULT 0 CHECK (error_count >= 0),
    artifact_count INTEGER NOT NULL DEFAULT 0 CHECK (artifact_count >= 0),
    rows_in INTEGER CHECK (rows_in >= 0),
    rows_out INTEGER CHECK (rows_out >= 0),
    llm_calls INTEGER CHECK (llm_calls >= 0),
    tokens INTEGER CHECK (tokens >= 0),
    metrics TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metrics)),
    input_fingerprint TEXT CHECK (length(input_fingerprint) = 64),
    code_ref TEXT,
    config_hash TEXT CHECK (length(config_hash) = 64),
    run_folder TEXT,
    epoch INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    seq INTEGER NOT NULL DEFAULT 0 CHECK (seq >= 0),
    CHECK ((finished_at IS NOT NULL)
        = (status IN ('completed', 'degraded', 'failed', 'timed_out', 'cancelled', 'crashed')))
) STRICT;

CREATE INDEX run_by_time ON pipeline_run (workspace, created_at, run_key);
CREATE INDEX run_by_status ON pipeline_run (workspace, status, created_at, run_key);
CREATE INDEX run_by_pipeline ON pipeline_run (workspace, pipeline_name, created_at, run_key);
CREATE INDEX run_everywhere ON pipeline_run (created_at, run_key);
CREATE INDEX run_unfinished ON pipeline_run (workspace, created_at, run_key)
    WHERE status IN ('scheduled', 'pending', 'running', 'cancelling');
CREATE INDEX run_by_retry ON pipeline_run (retry_of, created_at, run_key) WHERE retry_of IS NOT NULL;
CREATE INDEX run_by_replay ON pipeline_run (replay_of, created_at, run_key) WHERE replay_of IS NOT NULL;
CREATE INDEX run_by_parent ON pipeline_run (parent_id, created_at, run_key) WHERE parent_id IS NOT NULL;
CREATE INDEX run_by_input ON pipeline_run (input_fingerprint, created_at, run_key) WHERE input_fingerprint IS NOT NULL;
CREATE INDEX run_by_counts ON pipeline_run (workspace, created_at, run_key, rows_in, rows_out, llm_calls, tokens)
    WHERE rows_in IS NOT NULL OR rows_out IS NOT NULL OR llm_calls IS NOT NULL OR tokens IS NOT NULL;
CREATE INDEX run_by_metrics ON pipeline_run (workspace, created_at, run_key) WHERE metrics <> '{}';

CREATE TABLE block_run (
    run_key INTEGER NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    position INTEGER NOT NULL CHECK (position >= 0),
    block TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN (
        'pending', 'queued', 'running', 'retrying', 'completed', 'reused', 'degraded', 'failed', 'timed_out',
        'cancelled', 'crashed', 'upstream_failed', 'condition_failed'
    )),
    attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    reason TEXT,
    message TEXT NOT NULL DEFAULT '',
    started_at TEXT,
    finished_at TEXT,
    duration_seconds REAL CHECK (duration_seconds >= 0),
    total INTEGER CHECK (total >= 0),
    ok INTEGER NOT NULL DEFAULT 0 CHECK (ok >= 0),
    failed INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    upstream_failed INTEGER NOT NULL DEFAULT 0 CHECK (upstream_failed >= 0),
    retries INTEGER NOT NULL DEFAULT 0 CHECK (retries >= 0),
    error_count INTEGER NOT NULL DEFAULT 0 CHECK (error_count >= 0),
    bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    cpu_seconds REAL NOT NULL DEFAULT 0 CHECK (cpu_seconds >= 0),
    peak_memory INTEGER CHECK (peak_memory >= 0),
    adopted_from TEXT,
    PRIMARY KEY (run_key, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    run_key INTEGER NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    seq INTEGER NOT NULL CHECK (seq > 0),
    block TEXT NOT NULL,
    element INTEGER CHECK (element >= 0),
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    status TEXT NOT NULL,
    reason TEXT,
    type TEXT,
    message TEXT,
    started_at TEXT,
    finished_at TEXT,
    PRIMARY KEY (run_key, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    run_key INTEGER NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    seq INTEGER NOT NULL CHECK (seq > 0),
    epoch INTEGER NOT NULL CHECK (epoch > 0),
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    block TEXT,
    body TEXT NOT NULL CHECK (json_valid(body)),
    PRIMARY KEY (run_key, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE error (
    run_key INTEGER NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    seq INTEGER NOT NULL CHECK (seq > 0),
    block TEXT NOT NULL,
    element INTEGER CHECK (element >= 0),
    attempt INTEGER NOT NULL,
    reason TEXT,
    type TEXT NOT NULL,
    message TEXT NOT NULL,
    traceback TEXT NOT NULL DEFAULT '',
    at TEXT NOT NULL,
    PRIMARY KEY (run_key, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
    run_key INTEGER NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    seq INTEGER NOT NULL CHECK (seq > 0),
    artifact_id TEXT NOT NULL,
    path TEXT NOT NULL,
    name TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    sha256 TEXT NOT NULL,
    block TEXT,
    element INTEGER CHECK (element >= 0),
    metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
    created_at TEXT NOT NULL,
    PRIMARY KEY (run_key, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE tag (
    workspace TEXT NOT NULL,
    tag TEXT NOT NULL,
    created_at TEXT NOT NULL,
    run_key INTEGER NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    PRIMARY KEY (workspace, tag, created_at, run_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX tag_of_run ON tag (run_key);

CREATE TABLE place (
    run_key INTEGER NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    path TEXT NOT NULL,
    PRIMARY KEY (run_key, path)
) STRICT, WITHOUT ROWID;

-- What people said about runs: not part of the index, kept when that is made again.
CREATE TABLE annotation (
    run_id TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    kind TEXT NOT NULL CHECK (kind IN ('tag', 'untag', 'note')),
    text TEXT NOT NULL,
    said_at TEXT NOT NULL,
    said_by TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (run_id, version)
) STRICT, WITHOUT ROWID;

CREATE VIEW runs AS
SELECT run_id, workspace AS tenant_id, pipeline_name AS stage, status, error, input_fingerprint, code_ref, config_hash,
    started_at, finished_at, duration_seconds, rows_in, rows_out, llm_calls, tokens, trace_id
FROM pipeline_run;
