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

-- One row a saga: what it was started with, and where it stands. The state, and all that is written with it, is an index
-- over the events, which are the truth.
create table saga (
    -- In the order of their starts. A saga's records are found by it.
    number integer primary key,
    id text not null unique,
    definition_hash text not null references definition (hash),
    definition text not null,
    version integer not null,
    key text not null,
    request blob not null,
    -- The trace that it was started in: id, sampling decision, and the vendors' state.
    trace text not null,
    deadline integer not null,
    created_at integer not null,
    updated_at integer not null,
    state text not null,
    -- The record that brought the state, and its link: a journal that was cut off before it shows. Null until the state
    -- first changes.
    state_seq integer,
    state_link blob,
    -- Why the saga turned back, is held or was closed, where it is, and the step that it is for.
    reason_code text,
    reason_message text,
    reason_step text,
    -- Why this saga stands aside, where it does: its journal cannot be read or run, so the reason cannot stand there.
    -- Recovery passes it by.
    aside_code text,
    aside_message text
);

-- What recovery looks for, and lists of what is under way, however many sagas have ended. One condition a state and not a
-- list: of a list of more than two words SQLite builds a table, each time that it looks at a row.
create index saga_unfinished on saga (state, id)
where state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED' and aside_code is null;

-- What stands aside.
create index saga_aside on saga (id)
where aside_code is not null and state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED';

-- Lists of what ended otherwise than well, among many that did. Lists of what ended well go through all sagas by their
-- start: most have.
create index saga_undone on saga (state, id) where (state = 'COMPENSATED' or state = 'RESOLVED');

-- Lists of one definition's sagas.
create index saga_by_definition on saga (definition, id);

-- The idempotency keys: the same definition and key are the same saga. A key outlives its saga.
create table saga_key (
    -- First, so that a key is found without its definition too.
    key text not null,
    definition text not null,
    request_hash blob not null,
    saga_id text not null,
    -- How the saga ended, for whoever repeats its start: there when the saga has been removed, and kept until then.
    ending blob,
    -- Milliseconds since the Unix epoch.
    until integer,
    primary key (key, definition)
) without rowid;

-- What retention looks for.
create index saga_key_until on saga_key (until) where until is not null;

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
