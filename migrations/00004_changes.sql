-- +goose Up

-- How far each step has read its watermark column: every row with a lesser value, as of the run that
-- wrote it, is loaded or in etl.reconciliation. It moves in the transaction that completes the step.
CREATE TABLE etl.watermarks (
    pipeline    text        NOT NULL,
    step        text        NOT NULL,
    column_name text        NOT NULL,
    column_type text        NOT NULL,
    value       text        NOT NULL,
    org_id      text        NOT NULL DEFAULT '',
    definition  text        NOT NULL DEFAULT '',
    run_id      bigint,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, step)
);
COMMENT ON COLUMN etl.watermarks.value IS 'Where the next run begins to read, as text of column_type; the value itself is not read yet.';
COMMENT ON COLUMN etl.watermarks.definition IS 'A fingerprint of the query and the mapping that the rows were sent with.';
COMMENT ON COLUMN etl.watermarks.run_id IS 'The run that moved it; null when somebody set it.';

ALTER TABLE etl.steps ADD COLUMN changes jsonb;
COMMENT ON COLUMN etl.steps.changes IS 'What the run reads of a step that sends only changes, fixed at its start: a resume reads the same.';

-- What was last loaded of each row of a step that sends only rows whose content changed. Keys are
-- bytes whose order is that in which the source is read, whatever the collations of either database.
CREATE TABLE etl.row_sets (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline    text   NOT NULL,
    step        text   NOT NULL,
    fingerprint text   NOT NULL,
    key_kinds   text[] NOT NULL,
    UNIQUE (pipeline, step)
);
COMMENT ON COLUMN etl.row_sets.fingerprint IS 'Of the org, the object and the fields: hashes made under another one equal none of these.';

-- Room is left in the pages so that a new hash stays where its key is, and reading in order stays cheap.
CREATE TABLE etl.row_state (
    set_id bigint NOT NULL,
    key    bytea  NOT NULL,
    hash   bytea,
    PRIMARY KEY (set_id, key)
) WITH (fillfactor = 90);
COMMENT ON COLUMN etl.row_state.hash IS 'Of the record as Salesforce accepted it; null where the org has the record and nobody knows what of it.';

-- +goose Down
DROP TABLE etl.row_state, etl.row_sets;
ALTER TABLE etl.steps DROP COLUMN changes;
DROP TABLE etl.watermarks;
