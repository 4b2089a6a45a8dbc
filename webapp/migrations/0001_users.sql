CREATE TABLE IF NOT EXISTS users (
    id         serial       PRIMARY KEY,
    name       varchar(100) NOT NULL,
    email      varchar(100) UNIQUE NOT NULL,
    created_at timestamptz  NOT NULL DEFAULT now()
);
