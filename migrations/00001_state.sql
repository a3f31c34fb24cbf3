-- +goose Up

-- Who this state is: several state databases may share a machine, whose spools must not mix.
CREATE TABLE etl.installation (
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now(),
    one        boolean     PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO etl.installation DEFAULT VALUES;

-- One row per run of a pipeline. `epoch` fences: whoever takes a run over raises it, and every
-- update of the run's rows checks it, so a process that lost the run stops at its next step.
CREATE TABLE etl.runs (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline         text        NOT NULL,
    state            text        NOT NULL CHECK (state IN ('running', 'succeeded', 'completed_with_failures',
                                                           'stopped', 'failed', 'inconsistent', 'interrupted')),
    trigger          text        NOT NULL CHECK (trigger IN ('manual', 'schedule', 'retry')),
    started_at       timestamptz NOT NULL DEFAULT now(),
    finished_at      timestamptz,
    rows_read        bigint      NOT NULL DEFAULT 0,
    rows_loaded      bigint      NOT NULL DEFAULT 0,
    rows_failed      bigint      NOT NULL DEFAULT 0,
    rows_unprocessed bigint      NOT NULL DEFAULT 0,
    rows_rejected    bigint      NOT NULL DEFAULT 0,
    rows_held        bigint      NOT NULL DEFAULT 0,
    rows_unchanged   bigint      NOT NULL DEFAULT 0,
    api_calls        bigint      NOT NULL DEFAULT 0,
    error            text,
    abandoned_at     timestamptz,
    epoch            bigint      NOT NULL DEFAULT 1,
    host             text        NOT NULL,
    pid              integer     NOT NULL,
    org_id           text        NOT NULL DEFAULT '',
    instance_url     text        NOT NULL DEFAULT '',
    file             text        NOT NULL,
    definition       text        NOT NULL,
    options          jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON COLUMN etl.runs.definition IS 'The pipeline file as it was when the run started; a resume uses this text.';
COMMENT ON COLUMN etl.runs.abandoned_at IS 'When somebody gave the run up unfinished; its open chunks are not accounted for, and it is never resumed.';
CREATE INDEX runs_pipeline ON etl.runs (pipeline, id DESC);

CREATE TABLE etl.steps (
    id               bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id           bigint  NOT NULL REFERENCES etl.runs ON DELETE CASCADE,
    position         integer NOT NULL,
    name             text    NOT NULL,
    object           text    NOT NULL,
    operation        text    NOT NULL,
    state            text    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'done', 'stopped', 'failed', 'inconsistent')),
    started_at       timestamptz,
    finished_at      timestamptz,
    extracted_at     timestamptz,
    rows_read        bigint  NOT NULL DEFAULT 0,
    rows_loaded      bigint  NOT NULL DEFAULT 0,
    rows_failed      bigint  NOT NULL DEFAULT 0,
    rows_unprocessed bigint  NOT NULL DEFAULT 0,
    rows_rejected    bigint  NOT NULL DEFAULT 0,
    rows_held        bigint  NOT NULL DEFAULT 0,
    rows_unchanged   bigint  NOT NULL DEFAULT 0,
    error            text,
    UNIQUE (run_id, name)
);
COMMENT ON COLUMN etl.steps.extracted_at IS 'When the last row was cut into a chunk; null while extraction is unfinished.';

-- One row per chunk: the unit that is sealed from the others. Recovery looks only at `state`.
CREATE TABLE etl.chunks (
    id                bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id            bigint  NOT NULL REFERENCES etl.runs ON DELETE CASCADE,
    step_id           bigint  NOT NULL REFERENCES etl.steps ON DELETE CASCADE,
    seq               integer NOT NULL,
    kind              text    NOT NULL CHECK (kind IN ('range', 'keys', 'payload')),
    parent_id         bigint  REFERENCES etl.chunks ON DELETE CASCADE,
    attempt           integer NOT NULL DEFAULT 1,
    not_before        timestamptz,
    state             text    NOT NULL CHECK (state IN ('planned', 'spooled', 'created', 'uploaded', 'closing', 'submitted',
                                                        'finished', 'reconciled', 'stopped', 'failed')),
    key_low           text[],
    key_high          text[],
    file              text    NOT NULL DEFAULT '',
    rows_sent         bigint  NOT NULL DEFAULT 0,
    bytes             bigint  NOT NULL DEFAULT 0,
    crc32c            bigint  NOT NULL DEFAULT 0,
    job_id            text,
    job_state         text,
    job_error         text,
    records_processed bigint,
    records_failed    bigint,
    replaced_jobs     text[]  NOT NULL DEFAULT '{}',
    rows_read         bigint  NOT NULL DEFAULT 0,
    rows_loaded       bigint  NOT NULL DEFAULT 0,
    rows_failed       bigint  NOT NULL DEFAULT 0,
    rows_unprocessed  bigint  NOT NULL DEFAULT 0,
    rows_rejected     bigint  NOT NULL DEFAULT 0,
    rows_held         bigint  NOT NULL DEFAULT 0,
    rows_unchanged    bigint  NOT NULL DEFAULT 0,
    rows_requeued     bigint  NOT NULL DEFAULT 0,
    error             text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (step_id, seq)
);
COMMENT ON COLUMN etl.chunks.kind IS 'range: a key range of the source; keys: records of the reconciliation table, read again by key; payload: the same, sent as stored.';
COMMENT ON COLUMN etl.chunks.rows_requeued IS 'Records that left this chunk for a later chunk of the run, which accounts for them.';
COMMENT ON COLUMN etl.chunks.replaced_jobs IS 'Jobs that the org confirmed as ended with nothing processed, before job_id took their place.';
CREATE INDEX chunks_run ON etl.chunks (run_id, step_id, seq);
CREATE INDEX chunks_job ON etl.chunks (job_id) WHERE job_id IS NOT NULL;

-- +goose Down
DROP TABLE etl.chunks, etl.steps, etl.runs, etl.installation;
