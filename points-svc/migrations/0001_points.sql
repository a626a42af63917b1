-- Who may order, and how many points they have. The balance is the ledger's sum, kept so that a spend can be guarded by
-- one statement. A transaction locks one row of it, and before its entry in the ledger.
-- One tree of pages for the table and its key, and not two: `without rowid`.
create table member (
    user_id   text    not null primary key,
    suspended boolean not null,
    balance   bigint  not null,
    constraint member_balance_not_negative check (balance >= 0),
    constraint member_balance_within_limit check (balance <= 1000000000000000)
) without rowid;

-- The ledger. Append-only: a refund is an entry of its own, never a change of the spend.
create table entry (
    seq           integer not null primary key,
    user_id       text    not null references member (user_id),
    kind          text    not null,
    -- What the balance changed by: negative for points spent.
    change        bigint  not null,
    balance_after bigint  not null,
    -- Null for points earned.
    order_no      text,
    -- Milliseconds since the Unix epoch.
    at            bigint  not null,
    -- `or` and not `in`: of a list of more than two words SQLite builds a table, each time that it checks a row.
    constraint entry_kind_is_known check (kind = 'EARN' or kind = 'SPEND' or kind = 'REFUND'),
    constraint entry_sign_fits_its_kind check ((kind = 'SPEND') = (change < 0) and change <> 0),
    constraint entry_names_its_order check ((kind = 'EARN') = (order_no is null)),
    constraint entry_balance_not_negative check (balance_after >= 0)
);

-- An order spends once and is given its points back once, whoever asks under whatever key.
create unique index entry_once_an_order on entry (order_no, kind) where order_no is not null;

-- An account's entries are read a page at a time, oldest first.
create index entry_by_user on entry (user_id, seq);

create trigger entry_is_never_changed before update on entry
begin
    select raise(abort, 'the ledger is append-only');
end;

create trigger entry_is_never_removed before delete on entry
begin
    select raise(abort, 'the ledger is append-only');
end;
