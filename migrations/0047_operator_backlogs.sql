-- Orders that an operator has to look at.
CREATE INDEX sender_orders_stuck ON sender_orders (updated_at) WHERE state = 'stuck';
