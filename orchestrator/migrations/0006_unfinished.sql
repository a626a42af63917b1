-- How many sagas stand where, since when the oldest of them, and why they need a person: told from the entries of the indexes
-- alone. A row has its request, which may be megabytes, before what is asked for. The columns of the conditions are among
-- theirs, since SQLite looks at each again.
drop index saga_unfinished;
create index saga_unfinished on saga (state, id, asleep_until, definition, updated_at, reason_code, aside_code)
where state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED' and aside_code is null;

drop index saga_aside;
create index saga_aside on saga (id, definition, updated_at, aside_code, state)
where aside_code is not null and state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED';
