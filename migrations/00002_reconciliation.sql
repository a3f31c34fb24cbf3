-- +goose Up

-- One row per record that did not load. At most one row per (pipeline, step, source_key) is not
-- resolved: a record that fails every night is one row whose `attempts` grows.
CREATE TABLE etl.reconciliation (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id          bigint      NOT NULL,
    chunk_id        bigint,
    pipeline        text        NOT NULL,
    step            text        NOT NULL,
    object          text        NOT NULL,
    operation       text        NOT NULL,
    source_key      text,
    salesforce_id   text,
    job_id          text,
    kind            text        NOT NULL CHECK (kind IN ('failed', 'unprocessed', 'rejected', 'held')),
    error_code      text        NOT NULL DEFAULT '',
    error_message   text        NOT NULL DEFAULT '',
    error_fields    text[]      NOT NULL DEFAULT '{}',
    payload         jsonb       NOT NULL,
    payload_edited  boolean     NOT NULL DEFAULT false,
    status          text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'retrying', 'resolved', 'ignored')),
    attempts        integer     NOT NULL DEFAULT 1,
    first_failed_at timestamptz NOT NULL DEFAULT now(),
    last_failed_at  timestamptz NOT NULL DEFAULT now(),
    resolved_at     timestamptz,
    resolved_run_id bigint,
    retry_chunk_id  bigint
);
COMMENT ON COLUMN etl.reconciliation.source_key IS 'The key of the row in the source; several key columns as a JSON array of texts. Null where nothing decides which row it was.';
COMMENT ON COLUMN etl.reconciliation.payload IS 'What was sent: header to text; null is a field to clear, an absent field is left alone.';
COMMENT ON COLUMN etl.reconciliation.retry_chunk_id IS 'The chunk that is sending the record again, while status is retrying.';

CREATE UNIQUE INDEX reconciliation_record ON etl.reconciliation (pipeline, step, source_key)
    WHERE status <> 'resolved' AND source_key IS NOT NULL;
CREATE INDEX reconciliation_open ON etl.reconciliation (pipeline, step, error_code, id) WHERE status <> 'resolved';
CREATE INDEX reconciliation_run ON etl.reconciliation (run_id, id);
CREATE INDEX reconciliation_resolved ON etl.reconciliation (resolved_run_id) WHERE resolved_run_id IS NOT NULL;
CREATE INDEX reconciliation_rejected ON etl.reconciliation (chunk_id) WHERE kind = 'rejected';
CREATE INDEX reconciliation_keyless ON etl.reconciliation (pipeline, step) WHERE status <> 'resolved' AND source_key IS NULL;
CREATE INDEX reconciliation_retry ON etl.reconciliation (retry_chunk_id) WHERE retry_chunk_id IS NOT NULL;

-- +goose Down
DROP TABLE etl.reconciliation;
