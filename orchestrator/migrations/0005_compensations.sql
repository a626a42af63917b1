-- The compensations that are under way: from the record that turns a saga back to the one that ends it.
create table compensation (
    -- The saga's number.
    saga integer primary key,
    definition text not null,
    began_at integer not null
);

-- The oldest of each definition.
create index compensation_oldest on compensation (definition, began_at);

-- How the compensations came out that ended within a span of time. Each is counted in one row of each length: the
-- millisecond, the second, the minute, the hour and the day of its end. So any window is the sum of a few rows, however
-- many sagas have ended. A saga's row says nothing of its compensation, so that one without pays for none of this.
create table compensation_count (
    -- The length, and the first instant, in milliseconds.
    span integer not null,
    start integer not null,
    definition text not null,
    succeeded integer not null,
    failed integer not null,
    -- How long the longest took, in milliseconds, and the id of its saga.
    slowest integer not null,
    slowest_saga text not null,
    primary key (span, start, definition)
) without rowid;

-- The sagas of before. Their records are protobuf, whose first field is the kind: 5 turned back, 13 was cancelled, and 14
-- had a step, or behind that its undo, done by hand.
create temporary table turned_back as
select number, id, definition, state, updated_at, event.at as began_at, event.place
from saga join event on event.place between number << 20 and number << 20 | 1048575
where state <> 'SUCCEEDED' and state <> 'RUNNING' and substr(record, 1, 2) in (x'0805', x'080D');

insert into compensation (saga, definition, began_at)
select number, definition, began_at from turned_back
where state <> 'COMPENSATED' and state <> 'RESOLVED';

create temporary table compensated as
select id, definition, updated_at as ended_at, max(updated_at - began_at, 0) as lasted,
       state = 'COMPENSATED' and not exists (
           select 1 from event
           where event.place between turned_back.place and number << 20 | 1048575 and substr(record, 1, 2) = x'080E'
       ) as succeeded
from turned_back
where state = 'COMPENSATED' or state = 'RESOLVED';

create temporary table span (ms integer);
insert into span values (1), (1000), (60000), (3600000), (86400000);

-- Beside a `max` a column that is not grouped has the value of the row that has the greatest.
insert into compensation_count (span, start, definition, succeeded, failed, slowest, slowest_saga)
select ms, ended_at / ms * ms as start, definition, sum(succeeded), sum(not succeeded), max(lasted), id
from compensated cross join span
group by ms, start, definition;

drop table span;
drop table compensated;
drop table turned_back;
