-- +goose Up

-- A key tells records apart at once; the pipeline and the step are the same for millions of rows, and were
-- compared first for each of them.
CREATE UNIQUE INDEX reconciliation_key ON etl.reconciliation (source_key, step, pipeline)
    WHERE status <> 'resolved' AND source_key IS NOT NULL;
DROP INDEX etl.reconciliation_record;

-- Whether a step has rows of other runs is asked for each chunk, and must not go through all of this run's.
CREATE INDEX reconciliation_step_run ON etl.reconciliation (pipeline, step, run_id) WHERE status <> 'resolved';
CREATE INDEX reconciliation_loose ON etl.reconciliation (pipeline, step) WHERE status <> 'resolved' AND chunk_id IS NULL;

-- +goose Down
CREATE UNIQUE INDEX reconciliation_record ON etl.reconciliation (pipeline, step, source_key)
    WHERE status <> 'resolved' AND source_key IS NOT NULL;
DROP INDEX etl.reconciliation_key, etl.reconciliation_step_run, etl.reconciliation_loose;
