-- Tables whose key is a text are one tree of pages each, and not two: `without rowid`.

-- Where money is: a user's wallet, the shop's takings, and the bank, where top-ups come from. What the wallets and the
-- shop have, the bank lacks, so all balances sum to zero. A transfer locks its two accounts in the order of their ids.
create table account (
    id          text   not null primary key,
    currency    text   not null,
    balance     bigint not null,
    constraint account_only_the_bank_owes check (balance >= 0 or id like 'bank/%'),
    constraint account_within_limit check (balance between -1000000000000000 and 1000000000000000),
    constraint account_currency_is_a_code check (length(currency) = 3)
) without rowid;

-- Who has which wallet: one a user, in one currency.
create table wallet (
    user_id  text not null primary key,
    account  text not null unique references account (id)
) without rowid;

-- The ledger: two movements a transaction, of the same amount with opposite signs. Append-only.
create table movement (
    transaction_no text   not null,
    account        text   not null references account (id),
    -- Minor units of the account's currency; negative for money that leaves it.
    amount         bigint not null,
    -- Milliseconds since the Unix epoch.
    at             bigint not null,
    primary key (transaction_no, account),
    constraint movement_moves_something check (amount <> 0)
) without rowid;

create trigger movement_is_never_changed before update on movement
begin
    select raise(abort, 'the ledger is append-only');
end;

create trigger movement_is_never_removed before delete on movement
begin
    select raise(abort, 'the ledger is append-only');
end;

-- What was asked for an order and what became of it. A transaction locks one row of it: a new one before the accounts, as a
-- charge does, where nobody else can have it yet; one that is there after them, as a refund does.
create table payment (
    payment_no text   not null primary key,
    order_no   text   not null,
    user_id    text   not null,
    state      text   not null,
    currency   text   not null,
    amount     bigint not null,
    refunded   bigint not null,
    -- The registered reason of a payment that failed.
    failure    text,
    -- Milliseconds since the Unix epoch.
    created_at bigint not null,
    -- `or` and not `in`: of a list of more than two words SQLite builds a table, each time that it checks a row.
    constraint payment_state_is_known check (
        state = 'PROCESSING' or state = 'SUCCESS' or state = 'FAILED' or state = 'REFUNDED'),
    constraint payment_amount_positive check (amount > 0),
    constraint payment_refund_within_amount check (refunded between 0 and amount),
    constraint payment_refund_fits_its_state check ((state = 'REFUNDED') = (refunded > 0)),
    constraint payment_failure_fits_its_state check ((state = 'FAILED') = (failure is not null))
) without rowid;

-- An order is paid once. One that failed may be tried again.
create unique index payment_once_an_order on payment (order_no) where state <> 'FAILED';

-- A user's payments are read a page at a time, oldest first.
create index payment_by_user on payment (user_id, payment_no);
