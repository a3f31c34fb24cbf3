CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE customers (id bigint PRIMARY KEY, name text, website text, phone text, segment text, revenue_cents bigint,
  employees int, city text, country text, updated_at timestamptz, born timestamp, active boolean, token uuid,
  spot point, doc json, open_at time, ratio numeric(10,2), tags text[], sfid text, mood mood);
CREATE TABLE people (id bigint PRIMARY KEY, account_id bigint, first_name text, last_name text, email text, phone text,
  birthdate date, lead_source text, updated_at timestamptz);
