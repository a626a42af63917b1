-- Definitions as they were registered. Never changed and never removed while a saga is pinned to one: a saga runs by
-- the very file, and the very descriptors, that it was started with.
create table definition (
    hash text primary key,
    name text not null,
    version integer not null,
    source text not null,
    file text not null,
    descriptors blob not null,
    registered_at integer not null,
    constraint definition_version unique (name, version)
) without rowid;

-- One row a saga: what it was started with, and where it stands. The state is an index over the events, which are the
-- truth.
create table saga (
    -- In the order of their starts. A saga's records are found by it.
    number integer primary key,
    id text not null unique,
    definition_hash text not null references definition (hash),
    definition text not null,
    version integer not null,
    key text not null,
    request blob not null,
    request_hash blob not null,
    -- The trace that it was started in: id, sampling decision, and the vendors' state.
    trace text not null,
    deadline integer not null,
    created_at integer not null,
    updated_at integer not null,
    state text not null,
    -- Why this saga stands aside, where it does: its journal cannot be read or run, so the reason cannot stand there.
    -- Recovery passes it by.
    aside_code text,
    aside_message text,
    -- The same definition and key are the same saga.
    constraint saga_key unique (definition, key)
);

-- What recovery looks for, however many sagas have ended. One condition a state and not a list: of a list of more than two
-- words SQLite builds a table, each time that it looks at a row.
create index saga_unfinished on saga (id)
where state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED' and aside_code is null;

-- The records. Sequence numbers are dense from 0, and each link hashes the one before it: a gap, a change or a record
-- of another saga shows. The first link hashes what the saga was started with, so a record of no saga shows too; a
-- foreign key would look for the saga with each record.
create table event (
    -- The saga's number and, in the last 20 bits, the sequence number. In one whole number they are found faster than in
    -- columns of their own, and a row may have 4,061 bytes before it needs pages of its own; by another key, 1,002.
    place integer primary key,
    at integer not null,
    record blob not null,
    link blob not null
);

-- The same for whoever reads it by a saga's id.
create view journal as
select id as saga_id, place & 1048575 as seq, at, record, link, place
from saga join event on place between number << 20 and number << 20 | 1048575;
