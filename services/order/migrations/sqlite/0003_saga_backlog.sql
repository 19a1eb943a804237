-- So that counting those who wait for an operator looks at these alone.
CREATE INDEX sagas_need_operator ON sagas (order_id) WHERE state = 'needs_operator';
