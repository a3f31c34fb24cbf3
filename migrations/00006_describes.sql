-- +goose Up

-- What the org's objects looked like to a run: the part of each describe that matters to its
-- pipeline, kept once however many runs saw the same.
CREATE TABLE etl.describes (
    hash    bytea       PRIMARY KEY,
    object  text        NOT NULL,
    body    jsonb       NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN etl.describes.used_at IS 'When a run last saw this; what no run refers to is removed a day later.';

CREATE TABLE etl.run_describes (
    run_id bigint NOT NULL REFERENCES etl.runs ON DELETE CASCADE,
    object text   NOT NULL,
    hash   bytea  NOT NULL REFERENCES etl.describes,
    PRIMARY KEY (run_id, object)
);
CREATE INDEX run_describes_hash ON etl.run_describes (hash);

-- +goose Down
DROP TABLE etl.run_describes, etl.describes;
