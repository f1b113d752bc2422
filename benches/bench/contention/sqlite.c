/* Selects and settles in SQLite, for comparison with kage's file: see contention.rs.
 *   sqlite begin DIR MODE SUBSCRIPTIONS   creates the database
 *   sqlite contend DIR MODE SECONDS       prints "ready", waits for a line, then runs transactions
 *   sqlite count DIR MODE                 prints the number of changes in the database */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static sqlite3 *db;

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(db));
  exit(1);
}

static void run(const char *sql) {
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail(sql);
}

static sqlite3_stmt *prepared(const char *sql) {
  sqlite3_stmt *made;
  if (sqlite3_prepare_v2(db, sql, -1, &made, NULL) != SQLITE_OK) fail(sql);
  return made;
}

static void step(sqlite3_stmt *one, int expected) {
  if (sqlite3_step(one) != expected) fail(sqlite3_sql(one));
}

static long long microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void contend(const char *dir, double seconds) {
  sqlite3_stmt *begin = prepared("BEGIN IMMEDIATE"), *commit = prepared("COMMIT");
  /* First the fewest leases per weight, then the fewest runs per weight. */
  sqlite3_stmt *choose = prepared("SELECT s.id FROM subscriptions s ORDER BY "
    "(SELECT count(*) FROM leases l WHERE l.subscription = s.id) * 1.0 / s.weight, s.runs * 1.0 / s.weight LIMIT 1");
  sqlite3_stmt *turn = prepared("UPDATE subscriptions SET runs = runs + 1 WHERE id = ?1");
  sqlite3_stmt *hold = prepared("INSERT INTO leases (subscription, pid) VALUES (?1, ?2)");
  sqlite3_stmt *book = prepared("UPDATE subscriptions SET tokens = tokens + 1 WHERE id = ?1");
  sqlite3_stmt *give = prepared("DELETE FROM leases WHERE id = ?1");
  char name[4096], line[16];
  puts("ready");
  fflush(stdout);
  if (!fgets(line, sizeof line, stdin)) exit(1);
  size_t done = 0, room = 1 << 20;
  long long *times = malloc(room * sizeof *times), begun = microseconds();
  while (microseconds() - begun < seconds * 1e6 && done + 2 <= room) {
    long long started = microseconds();
    step(begin, SQLITE_DONE);
    step(choose, SQLITE_ROW);
    int chosen = sqlite3_column_int(choose, 0);
    sqlite3_reset(choose);
    sqlite3_bind_int(turn, 1, chosen);
    step(turn, SQLITE_DONE);
    sqlite3_bind_int(hold, 1, chosen);
    sqlite3_bind_int(hold, 2, getpid());
    step(hold, SQLITE_DONE);
    long long lease = sqlite3_last_insert_rowid(db);
    step(commit, SQLITE_DONE);
    sqlite3_reset(begin), sqlite3_reset(turn), sqlite3_reset(hold), sqlite3_reset(commit);
    times[done++] = microseconds() - started;
    started = microseconds();
    step(begin, SQLITE_DONE);
    sqlite3_bind_int(book, 1, chosen);
    step(book, SQLITE_DONE);
    sqlite3_bind_int64(give, 1, lease);
    step(give, SQLITE_DONE);
    step(commit, SQLITE_DONE);
    sqlite3_reset(begin), sqlite3_reset(book), sqlite3_reset(give), sqlite3_reset(commit);
    times[done++] = microseconds() - started;
  }
  snprintf(name, sizeof name, "%s/%d.times", dir, getpid());
  FILE *out = fopen(name, "w");
  for (size_t at = 0; at < done; at++) fprintf(out, "%lld\n", times[at]);
  if (fclose(out)) exit(1);
}

int main(int count, char **words) {
  if (count < 4) return 2;
  char text[4096];
  snprintf(text, sizeof text, "%s/pool.db", words[2]);
  if (sqlite3_open(text, &db) != SQLITE_OK) fail("open");
  sqlite3_busy_timeout(db, 60000);
  run("PRAGMA journal_mode = WAL");
  snprintf(text, sizeof text, "PRAGMA synchronous = %s", words[3]);
  run(text);
  if (!strcmp(words[1], "begin")) {
    run("CREATE TABLE subscriptions (id INTEGER PRIMARY KEY, weight INTEGER, runs INTEGER, tokens INTEGER)");
    run("CREATE TABLE leases (id INTEGER PRIMARY KEY, subscription INTEGER, pid INTEGER)");
    run("CREATE INDEX held ON leases (subscription)");
    for (int at = 0; at < atoi(words[4]); at++) run("INSERT INTO subscriptions (weight, runs, tokens) VALUES (100, 0, 0)");
  } else if (!strcmp(words[1], "contend")) {
    contend(words[2], atof(words[4]));
  } else {
    sqlite3_stmt *sum = prepared("SELECT sum(runs) + sum(tokens) FROM subscriptions");
    step(sum, SQLITE_ROW);
    printf("%lld\n", sqlite3_column_int64(sum, 0));
    sqlite3_finalize(sum);
  }
  sqlite3_close_v2(db);
  return 0;
}
