-- What tells this database from every other, how far it has come, and what it has noted of the databases that it belongs
-- with. One row, written anew in each transaction that changes something.
create table _stamp (
    only_row     integer not null primary key check (only_row = 1),
    -- Random.
    id           text    not null,
    -- Those that have changed something. It only grows: where it is less than somebody has noted, the file went back.
    transactions integer not null,
    -- When the last one was; 0 before the first. Milliseconds since the Unix epoch, as the next.
    at           integer not null,
    -- Before this instant nothing is removed for its age.
    removal_from integer not null,
    -- A line for each other database: id, transactions, instant, name.
    noted        text    not null
);

-- A database that was there before has had one transaction at least.
insert into _stamp
select 1, lower(hex(randomblob(16))),
    exists (select 1 from sqlite_schema
            where type = 'table' and name not in ('_stamp', '_store_migrations') and name not like 'sqlite!_%' escape '!'),
    0, 0, '';
