create table if not exists app_invoices (
    id        text   not null primary key,
    customer  text   not null,
    cents     bigint not null,
    status    text   not null,
    payment   text
);

-- One row for each call a customer has got: `key` is the idempotency key of the step that made it.
create table if not exists app_notifications (
    key       text   not null primary key,
    invoice   text   not null,
    body      text   not null
);

create table if not exists app_figures (
    subject   text   not null,
    name      text   not null,
    value     bigint not null,
    primary key (subject, name)
);

-- What left the process: one row for each time a handler's body was executed, repetitions included.
create table if not exists app_effects (
    token     text   not null primary key,
    key       text   not null,
    run       text   not null,
    step      text   not null,
    attempt   bigint not null
);

create index if not exists app_effects_by_run on app_effects (run);
create index if not exists app_effects_by_key on app_effects (key);

-- What was done about a subject, in order: one line for each key, however often it is written.
create table if not exists app_entries (
    key       text   not null primary key,
    subject   text   not null,
    position  bigint not null,
    entry     text   not null,
    unique (subject, position)
);

-- Orders as they were booked. There is no key: nothing but the transaction of a step keeps an order from being booked twice.
create table if not exists app_bookings (
    token     text   not null primary key,
    order_id  text   not null,
    cents     bigint not null
);

create index if not exists app_bookings_by_order on app_bookings (order_id);
