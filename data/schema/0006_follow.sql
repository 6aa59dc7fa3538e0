-- Where slmctl collect --follow stands in the files of a growing log.
CREATE TABLE followed (
    source INTEGER NOT NULL REFERENCES source(id),
    device INTEGER NOT NULL,
    inode  INTEGER NOT NULL,
    time   INTEGER NOT NULL,              -- of the last change here
    offset INTEGER NOT NULL,              -- bytes that are in the store
    line   INTEGER NOT NULL,              -- lines of them
    salt   BLOB NOT NULL,                 -- the key of tail
    tail   BLOB NOT NULL,                 -- hash of the last bytes before offset
    PRIMARY KEY(source, device, inode)
) STRICT, WITHOUT ROWID;
