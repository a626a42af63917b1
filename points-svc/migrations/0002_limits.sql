-- A member may hold more than what can be earned: points that are given back are never refused. What is left is the limit
-- of the integer. A check is all that changes, so no row is: the text of the schema is edited, as SQLite's documents have
-- it for checks that are taken away, where building the table anew would look at every entry.
pragma writable_schema = on;

update sqlite_schema
set sql = replace(
    sql,
    'constraint member_balance_within_limit check (balance <= 1000000000000000)',
    'constraint member_balance_within_64_bits check (balance <= 9223372036854775807)')
where type = 'table' and name = 'member';

pragma writable_schema = reset;
