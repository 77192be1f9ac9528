-- The index of all runs. Everything in it follows from run folders; durations are seconds.

CREATE TABLE workspace (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
    created_at TIMESTAMPTZ NOT NULL,
    description TEXT NOT NULL DEFAULT ''
);

CREATE TABLE pipeline_run (
    run_key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(run_id) BETWEEN 1 AND 200),
    workspace TEXT COLLATE "C" NOT NULL REFERENCES workspace (name),
    kind TEXT NOT NULL DEFAULT 'pipeline' CHECK (kind IN ('pipeline', 'stage')),
    pipeline_id TEXT NOT NULL,
    pipeline_name TEXT COLLATE "C" NOT NULL,
    pipeline_version TEXT,
    status TEXT NOT NULL CHECK (status IN (
        'scheduled', 'pending', 'running', 'cancelling',
        'completed', 'degraded', 'failed', 'timed_out', 'cancelled', 'crashed'
    )),
    reason TEXT,
    message TEXT NOT NULL DEFAULT '',
    error TEXT,
    variables JSONB NOT NULL DEFAULT '{}',
    trigger_kind TEXT NOT NULL DEFAULT 'script',
    job_id TEXT,
    retry_of TEXT,
    replay_of TEXT,
    parent_id TEXT,
    imported_from TEXT,
    trace_id TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    scheduled_at TIMESTAMPTZ,
    started_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    cancel_requested_at TIMESTAMPTZ,
    duration_seconds DOUBLE PRECISION CHECK (duration_seconds >= 0),
    priority BIGINT,
    host TEXT,
    driver JSONB,
    lease_seconds DOUBLE PRECISION NOT NULL DEFAULT 30 CHECK (lease_seconds > 0),
    progress_done BIGINT NOT NULL DEFAULT 0 CHECK (progress_done >= 0),
    progress_total BIGINT CHECK (progress_total >= 0),
    progress_failed BIGINT NOT NULL DEFAULT 0 CHECK (progress_failed >= 0),
    error_count BIGINT NOT NULL DEFAULT 0 CHECK (error_count >= 0),
    artifact_count BIGINT NOT NULL DEFAULT 0 CHECK (artifact_count >= 0),
    rows_in BIGINT CHECK (rows_in >= 0),
    rows_out BIGINT CHECK (rows_out >= 0),
    llm_calls BIGINT CHECK (llm_calls >= 0),
    tokens BIGINT CHECK (tokens >= 0),
    metrics JSONB NOT NULL DEFAULT '{}',
    input_fingerprint TEXT CHECK (length(input_fingerprint) = 64),
    code_ref TEXT,
    config_hash TEXT CHECK (length(config_hash) = 64),
    run_folder TEXT,
    epoch BIGINT NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    seq BIGINT NOT NULL DEFAULT 0 CHECK (seq >= 0),
    CHECK ((finished_at IS NOT NULL)
        = (status IN ('completed', 'degraded', 'failed', 'timed_out', 'cancelled', 'crashed')))
);

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
    run_key BIGINT NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    position BIGINT NOT NULL CHECK (position >= 0),
    block TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN (
        'pending', 'queued', 'running', 'retrying', 'completed', 'reused', 'degraded', 'failed', 'timed_out',
        'cancelled', 'crashed', 'upstream_failed', 'condition_failed'
    )),
    attempt BIGINT NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    reason TEXT,
    message TEXT NOT NULL DEFAULT '',
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    duration_seconds DOUBLE PRECISION CHECK (duration_seconds >= 0),
    total BIGINT CHECK (total >= 0),
    ok BIGINT NOT NULL DEFAULT 0 CHECK (ok >= 0),
    failed BIGINT NOT NULL DEFAULT 0 CHECK (failed >= 0),
    upstream_failed BIGINT NOT NULL DEFAULT 0 CHECK (upstream_failed >= 0),
    retries BIGINT NOT NULL DEFAULT 0 CHECK (retries >= 0),
    error_count BIGINT NOT NULL DEFAULT 0 CHECK (error_count >= 0),
    bytes BIGINT NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    cpu_seconds DOUBLE PRECISION NOT NULL DEFAULT 0 CHECK (cpu_seconds >= 0),
    peak_memory BIGINT CHECK (peak_memory >= 0),
    adopted_from TEXT,
    PRIMARY KEY (run_key, position)
);

CREATE TABLE attempt (
    run_key BIGINT NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    seq BIGINT NOT NULL CHECK (seq > 0),
    block TEXT NOT NULL,
    element BIGINT CHECK (element >= 0),
    attempt BIGINT NOT NULL CHECK (attempt >= 0),
    status TEXT NOT NULL,
    reason TEXT,
    type TEXT,
    message TEXT,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    PRIMARY KEY (run_key, seq)
);

CREATE TABLE event (
    run_key BIGINT NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    seq BIGINT NOT NULL CHECK (seq > 0),
    epoch BIGINT NOT NULL CHECK (epoch > 0),
    at TIMESTAMPTZ NOT NULL,
    kind TEXT NOT NULL,
    block TEXT,
    body JSONB NOT NULL,
    PRIMARY KEY (run_key, seq)
);

CREATE TABLE error (
    run_key BIGINT NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    seq BIGINT NOT NULL CHECK (seq > 0),
    block TEXT NOT NULL,
    element BIGINT CHECK (element >= 0),
    attempt BIGINT NOT NULL,
    reason TEXT,
    type TEXT NOT NULL,
    message TEXT NOT NULL,
    traceback TEXT NOT NULL DEFAULT '',
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (run_key, seq)
);

CREATE TABLE artifact (
    run_key BIGINT NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    seq BIGINT NOT NULL CHECK (seq > 0),
    artifact_id TEXT NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    artifact_type TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes BIGINT NOT NULL CHECK (size_bytes >= 0),
    sha256 TEXT NOT NULL,
    block TEXT,
    element BIGINT CHECK (element >= 0),
    metadata JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (run_key, seq)
);

CREATE TABLE tag (
    workspace TEXT COLLATE "C" NOT NULL,
    tag TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    run_key BIGINT NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    PRIMARY KEY (workspace, tag, created_at, run_key)
);

-- In SQLite an index ends with the columns of the primary key anyway.
CREATE INDEX tag_of_run ON tag (run_key, tag);

CREATE TABLE place (
    run_key BIGINT NOT NULL REFERENCES pipeline_run (run_key) ON DELETE CASCADE,
    path TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_key, path)
);

-- What people said about runs: not part of the index, kept when that is made again.
CREATE TABLE annotation (
    run_id TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    kind TEXT NOT NULL CHECK (kind IN ('tag', 'untag', 'note')),
    text TEXT NOT NULL,
    said_at TIMESTAMPTZ NOT NULL,
    said_by TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (run_id, version)
);

CREATE VIEW runs AS
SELECT run_id, workspace AS tenant_id, pipeline_name AS stage, status, error, input_fingerprint, code_ref, config_hash,
    started_at, finished_at, duration_seconds, rows_in, rows_out, llm_calls, tokens, trace_id
FROM pipeline_run;
