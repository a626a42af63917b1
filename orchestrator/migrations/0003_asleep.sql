-- Until when a saga is asleep: it waits, and no task runs it. The greatest number where it waits for a person. Null where a
-- task runs it, or is to.
alter table saga add column asleep_until integer;

-- What recovery looks for, and lists of what is under way. With the column, so that recovery reads no row of a saga that is
-- asleep, however many there are.
drop index saga_unfinished;
create index saga_unfinished on saga (state, id, asleep_until)
where state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED' and aside_code is null;

-- The sagas that are asleep, by when they are due. With their definitions, so that those of one that has no room are passed
-- by without a look at their rows.
create index saga_asleep on saga (asleep_until, id, definition) where asleep_until is not null;
