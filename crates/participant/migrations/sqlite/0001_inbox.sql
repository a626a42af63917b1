-- What each delivery came to, so that a repeat gets the first answer and a call never takes effect after its undo.
-- A row is written in the transaction of the effect it stands for. An undo takes its own row before its call's; nothing else
-- takes two.
create table inbox (
    key          text    not null primary key,
    -- Null on a tombstone: the undo that writes it has not seen the call's request.
    request_hash blob,
    -- `or` and not `in`: of a list of more than two words SQLite builds a table, each time that it checks a row.
    kind         text    not null
        check (kind = 'done' or kind = 'declined' or kind = 'tombstone' or kind = 'undone'
               or kind = 'nothing'),
    -- The encoded response, replayed byte for byte.
    answer       blob,
    reason       text,
    message      text,
    -- Of the delivery that did the work: a repeat names that one, so its answer stays the same.
    trace_id     text    not null,
    -- Milliseconds since the Unix epoch.
    at           integer not null,
    check ((kind in ('done', 'undone')) = (answer is not null)),
    check ((kind = 'declined') = (reason is not null and message is not null)),
    check ((kind = 'tombstone') = (request_hash is null))
) without rowid;

-- What requests outside sagas left, oldest first. The rows of sagas stand in the order of their age already.
create index inbox_request on inbox (at)
where key < 'saga/';
