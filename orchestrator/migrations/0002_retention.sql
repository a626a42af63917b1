-- What retention looks for: the sagas that have ended, oldest first, however many there are.
create index saga_ended on saga (updated_at)
where (state = 'SUCCEEDED' or state = 'COMPENSATED' or state = 'RESOLVED');
