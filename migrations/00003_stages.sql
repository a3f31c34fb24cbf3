-- +goose Up

-- What each chunk did or waited for, and since when, in order; the last entry goes on until now. All times
-- are on this server's clock. Chunks from before this migration have none.
ALTER TABLE etl.chunks
    ADD COLUMN stages    text[]        NOT NULL DEFAULT '{}',
    ADD COLUMN stages_at timestamptz[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT chunks_stages CHECK (cardinality(stages) = cardinality(stages_at));
COMMENT ON COLUMN etl.chunks.stages IS 'read, room, queue, rest, create, upload, close, process, results, state, halted, done: what the chunk did or waited for, one after the other.';
COMMENT ON COLUMN etl.chunks.stages_at IS 'When each of the stages began; it ended when the next one began.';

-- When nobody drove the run: from its interruption until its resume.
ALTER TABLE etl.runs
    ADD COLUMN paused_at  timestamptz[] NOT NULL DEFAULT '{}',
    ADD COLUMN resumed_at timestamptz[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT runs_pauses CHECK (cardinality(paused_at) = cardinality(resumed_at));
COMMENT ON COLUMN etl.runs.paused_at IS 'Each time the run was left: when it ended, or the last sign of life of a process that was killed.';
COMMENT ON COLUMN etl.runs.resumed_at IS 'When each of these pauses ended.';

-- +goose Down
ALTER TABLE etl.runs DROP COLUMN paused_at, DROP COLUMN resumed_at;
ALTER TABLE etl.chunks DROP COLUMN stages, DROP COLUMN stages_at;
