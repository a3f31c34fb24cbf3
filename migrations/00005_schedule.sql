-- +goose Up

-- One row per pipeline that a server has seen with a schedule, or that somebody has paused.
CREATE TABLE etl.schedules (
    pipeline      text PRIMARY KEY,
    cron          text NOT NULL DEFAULT '',
    timezone      text NOT NULL DEFAULT '',
    decided_until timestamptz,
    paused_at     timestamptz
);
COMMENT ON COLUMN etl.schedules.decided_until IS 'What was due up to here has been decided on, so a clock that goes back starts nothing twice. A schedule that changes, or is resumed, begins anew at that moment.';

-- One row per time at which a schedule was due, and what became of it. Whoever inserts it has claimed
-- it; `epoch` fences: a server that takes over raises it, and a run begins only in a transaction that
-- finds the epoch of its claim here.
CREATE TABLE etl.fires (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline    text        NOT NULL,
    fire_at     timestamptz NOT NULL,
    origin      text        NOT NULL CHECK (origin IN ('schedule', 'request')),
    state       text        NOT NULL CHECK (state IN ('claimed', 'running', 'done', 'failed', 'skipped')),
    waits       boolean     NOT NULL DEFAULT false,
    missed      bigint      NOT NULL DEFAULT 0,
    reason      text        NOT NULL DEFAULT '',
    run_id      bigint      REFERENCES etl.runs ON DELETE SET NULL,
    epoch       bigint      NOT NULL DEFAULT 1,
    host        text        NOT NULL,
    pid         integer     NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
COMMENT ON COLUMN etl.fires.fire_at IS 'When the schedule was due, before its jitter.';
COMMENT ON COLUMN etl.fires.waits IS 'Whether it waits for a run of the pipeline that is still going, instead of being left out.';
COMMENT ON COLUMN etl.fires.missed IS 'How many times before this one were missed, as no server ran, and are not made up for.';
COMMENT ON COLUMN etl.fires.reason IS 'Why it was left out, or why no run came of it.';
CREATE UNIQUE INDEX fires_once ON etl.fires (pipeline, fire_at) WHERE origin = 'schedule';
CREATE INDEX fires_open ON etl.fires (fire_at, id) WHERE state IN ('claimed', 'running');
CREATE INDEX fires_pipeline ON etl.fires (pipeline, id DESC);
CREATE INDEX fires_run ON etl.fires (run_id) WHERE run_id IS NOT NULL;

-- Who leads: the server whose session holds the advisory lock starts what is due, the others stand by.
CREATE TABLE etl.leader (
    one   boolean     PRIMARY KEY DEFAULT true CHECK (one),
    host  text        NOT NULL,
    pid   integer     NOT NULL,
    since timestamptz NOT NULL
);

-- +goose Down
DROP TABLE etl.leader, etl.fires, etl.schedules;
