-- An account may hold more than what it can be topped up to: money that is given back is never refused. What is left is
-- the limit of the integer. A check is all that changes, so no row is: the text of the schema is edited, as SQLite's
-- documents have it for checks that are taken away, where building the table anew would look at every movement.
pragma writable_schema = on;

update sqlite_schema
set sql = replace(
    sql,
    'constraint account_within_limit check (balance between -1000000000000000 and 1000000000000000)',
    'constraint account_within_64_bits check (balance between -9223372036854775807 and 9223372036854775807)')
where type = 'table' and name = 'account';

pragma writable_schema = reset;
