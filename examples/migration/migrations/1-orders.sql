-- Can be run again: a migration that was cut off is repeated as a whole.
BEGIN;
CREATE TABLE IF NOT EXISTS orders (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	article text NOT NULL UNIQUE
);
INSERT INTO orders (article) VALUES ('lamp'), ('chair') ON CONFLICT DO NOTHING;
COMMIT;
