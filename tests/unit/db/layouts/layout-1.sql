-- A store as the first layout had it: two finished jobs, one that runs, one in line, and two of a template.
BEGIN TRANSACTION;
CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), epoch INTEGER NOT NULL, ids INTEGER NOT NULL,
         seqs INTEGER NOT NULL, jobs INTEGER NOT NULL, finished_jobs INTEGER NOT NULL, kept_bytes INTEGER NOT NULL) STRICT;
INSERT INTO state VALUES(1,1,9,5,4,2,8);
CREATE TABLE account(uid INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
INSERT INTO account VALUES(1000,'user1000');
CREATE TABLE spec(id INTEGER PRIMARY KEY, uses INTEGER NOT NULL, marker TEXT NOT NULL, body TEXT NOT NULL) STRICT;
INSERT INTO spec VALUES(1,2,'{}','{"command":["echo","{}"],"group":"many","priority":-2}');
CREATE TABLE job(id INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, cancelled INTEGER NOT NULL,
         submitted_at INTEGER NOT NULL, executor INTEGER NOT NULL, lane INTEGER NOT NULL, uid INTEGER, parent INTEGER,
         place INTEGER, spec INTEGER, item TEXT, body TEXT) STRICT;
INSERT INTO job VALUES(4,1,0,1795642582179963,0,0,1000,NULL,NULL,NULL,NULL,'{"shell":"echo runs","daemon":true}');
INSERT INTO job VALUES(5,0,0,1795642582186482,0,0,1000,4,NULL,NULL,NULL,'{"command":["true"],"group":"later","priority":7}');
INSERT INTO job VALUES(6,0,0,1795642582187556,0,0,1000,NULL,0,1,'"a"',NULL);
INSERT INTO job VALUES(7,0,1,1795642582187556,0,0,1000,NULL,1,1,'"b c"',NULL);
CREATE TABLE finished(seq INTEGER PRIMARY KEY, id INTEGER NOT NULL, attempt INTEGER NOT NULL, outcome INTEGER NOT NULL,
         finished_at INTEGER NOT NULL, kept_bytes INTEGER NOT NULL, label INTEGER, uid INTEGER, place INTEGER, spec INTEGER,
         item TEXT, body TEXT, record TEXT NOT NULL, ending BLOB NOT NULL) STRICT;
INSERT INTO finished VALUES(1,1,1,1,1795642582149182,8,1,1000,NULL,NULL,NULL,'{"shell":"echo one; echo two >&2; exit 3","name":"done","tags":["t"],"group":"g"}','{"id":1,"seq":1,"state":"finished","outcome":"failed"}',X'01001C06C20C0080A091020400046F6E650A04000474776F0A');
INSERT INTO finished VALUES(2,2,1,0,1795642582156083,0,NULL,1000,NULL,NULL,NULL,'{"task":"echo","args":{"x":[1,2]}}','{"id":2,"seq":2,"state":"finished","outcome":"succeeded"}',X'0102000B7B2278223A5B312C325D7D');
CREATE UNIQUE INDEX finished_id ON finished(id);
CREATE INDEX finished_label ON finished(label, seq) WHERE label IS NOT NULL;
CREATE TABLE label(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO label VALUES(1,'g');
CREATE TABLE purged(first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;
INSERT INTO purged VALUES(3,3);
COMMIT;
PRAGMA application_id=1937010292;
PRAGMA user_version=1;
