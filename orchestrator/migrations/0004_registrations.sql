-- When a definition was archived: no saga begins by it any more. Null where it is not.
alter table definition add column archived_at integer;

-- The number of the last change of the row, in one row of numbers for all definitions: what has a greater one than a node
-- has seen is news to it.
alter table definition add column change integer not null default 0;

create index definition_change on definition (change);
