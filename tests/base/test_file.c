#include "base/sx_file.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/sx_mem.h"
#include "tests/check_run.h"

static char folder[] = "/tmp/sx_file_XXXXXX";

static int n_entries(const char *path) {
    int n = 0;
    DIR *d = opendir(path);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

START_TEST(what_is_written_is_read_back) {
    static const char bytes[] = "one\0two\n";
    char *path = sx_path_join(folder, "plain"), *data = NULL;
    size_t n = 0;
    ck_assert_int_eq(sx_file_write(path, bytes, sizeof bytes), SX_OK);
    ck_assert_int_eq(sx_file_read(path, 100, &data, &n), SX_OK);
    ck_assert_uint_eq(n, sizeof bytes);
    ck_assert_mem_eq(data, bytes, sizeof bytes);
    ck_assert_int_eq(data[n], 0);
    ck_assert_int_eq((int)sx_file_size(path), (int)sizeof bytes);
    sx_free(data);
    unlink(path);
    sx_free(path);
}
END_TEST

START_TEST(a_large_file_is_read_whole) {
    const size_t want = 300001;
    char *path = sx_path_join(folder, "large"), *bytes = sx_alloc((int64_t)want, 1), *data = NULL;
    size_t n = 0;
    for (size_t i = 0; i < want; i++) bytes[i] = (char)(i * 7);
    ck_assert_int_eq(sx_file_write(path, bytes, want), SX_OK);
    ck_assert_int_eq(sx_file_read(path, want, &data, &n), SX_OK);
    ck_assert_uint_eq(n, want);
    ck_assert_mem_eq(data, bytes, want);
    sx_free(data);
    ck_assert_int_eq(sx_file_read(path, want - 1, &data, &n), SX_E_DATA);
    unlink(path);
    sx_free(bytes);
    sx_free(path);
}
END_TEST

/* A file-size limit stands in for a full disk: the write fails, the old file stays, no rest is
 * left. */
START_TEST(a_failed_write_keeps_the_old_file_and_leaves_no_rest) {
    char *path = sx_path_join(folder, "kept"), *data = NULL;
    static char zeros[1 << 16];
    size_t n = 0;
    struct rlimit old, small;
    ck_assert_int_eq(sx_file_write(path, "old", 3), SX_OK);
    int entries = n_entries(folder);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    sx_err rc = sx_file_write(path, zeros, sizeof zeros);
    setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_eq(rc, SX_E_IO);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), path));
    ck_assert_int_eq(n_entries(folder), entries);
    ck_assert_int_eq(sx_file_read(path, 10, &data, &n), SX_OK);
    ck_assert_str_eq(data, "old");
    sx_free(data);
    unlink(path);
    sx_free(path);
}
END_TEST

START_TEST(temporaries_of_hosts_have_names_of_their_own) {
    char host[256] = "", *tmp = sx_file_tmp_name("x");
    ck_assert_int_eq(gethostname(host, sizeof host - 1), 0);
    ck_assert(sx_has_suffix(tmp, host));
    sx_free(tmp);
}
END_TEST

START_TEST(a_commit_that_cannot_rename_removes_the_temporary) {
    char *path = sx_path_join(folder, "a_folder"), *tmp = sx_file_tmp_name(path);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    FILE *f = fopen(tmp, "w");
    ck_assert_ptr_nonnull(f);
    fclose(f);
    ck_assert_int_eq(sx_file_commit(tmp, path), SX_E_CREATE);
    ck_assert(!sx_file_exists(tmp));
    rmdir(path);
    sx_free(tmp);
    sx_free(path);
}
END_TEST

/* An owner of names that hears at its look number `loses` that it has lost them; behind each look
 * before that the temporary is swept away. */
typedef struct owner {
    const char *tmp;
    int looks, loses;
} owner;

static sx_err holds(void *user) {
    owner *o = user;
    if (++o->looks >= o->loses) return sx_fail(SX_E_AGAIN, "taken over");
    unlink(o->tmp);
    return SX_OK;
}

START_TEST(who_lost_a_name_says_so_and_leaves_the_file_alone) {
    char *path = sx_path_join(folder, "gated"), *tmp = sx_file_tmp_name(path), *data;
    size_t n;
    for (int loses = 1; loses <= 3; loses++) {
        owner o = {tmp, 0, loses};
        ck_assert_int_eq(sx_file_write(path, "kept", 4), SX_OK);
        ck_assert_int_eq(sx_file_write(tmp, "late", 4), SX_OK);
        ck_assert_int_eq(sx_file_commit_if(tmp, path, holds, &o),
                         loses < 3 ? SX_E_AGAIN : SX_E_CREATE);
        ck_assert(!sx_file_exists(tmp));
        ck_assert_int_eq(sx_file_read(path, 9, &data, &n), SX_OK);
        ck_assert_str_eq(data, "kept");
        sx_free(data);
    }
    unlink(path);
    sx_free(tmp);
    sx_free(path);
}
END_TEST

START_TEST(a_sweep_takes_the_temporaries_of_its_names_alone) {
    static const struct {
        const char *name;
        bool stays;
    } row[] = {{"step-1.h5.tmp.77", false},
               {"step-2.h5.tmp.1", false},
               {"step-1.h5", true},
               {"other.h5.tmp.77", true},
               {"my-step-1.h5.tmp.7", true}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *path = sx_path_join(folder, row[i].name);
        ck_assert_int_eq(sx_file_write(path, "x", 1), SX_OK);
        sx_free(path);
    }
    sx_file_sweep(folder, "step-");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *path = sx_path_join(folder, row[i].name);
        ck_assert_msg(sx_file_exists(path) == row[i].stays, "%s: got %d, want %d", row[i].name,
                      sx_file_exists(path), row[i].stays);
        unlink(path);
        sx_free(path);
    }
    sx_file_sweep("/nowhere", "step-");
}
END_TEST

START_TEST(a_sweep_for_one_name_spares_longer_names) {
    static const struct {
        const char *name;
        bool stays;
    } row[] = {{"c.h5.tmp.77", false}, {"c.h5.tmp.77-1-2.lock", false}, {"c.h5", true},
               {"c.h52.tmp.7", true},  {"c.h5.x.tmp.7", true},          {"ac.h5.tmp.7", true}};
    char *final = sx_path_join(folder, "c.h5");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *path = sx_path_join(folder, row[i].name);
        ck_assert_int_eq(sx_file_write(path, "x", 1), SX_OK);
        sx_free(path);
    }
    sx_file_sweep_for(final);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char *path = sx_path_join(folder, row[i].name);
        ck_assert_msg(sx_file_exists(path) == row[i].stays, "%s: got %d, want %d", row[i].name,
                      sx_file_exists(path), row[i].stays);
        unlink(path);
        sx_free(path);
    }
    sx_free(final);
}
END_TEST

START_TEST(errors_name_the_path) {
    char *data = NULL;
    size_t n = 0;
    ck_assert_int_eq(sx_file_read("/nowhere/at/all", 10, &data, &n), SX_E_NOINPUT);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), "/nowhere/at/all"));
    ck_assert_int_eq(sx_file_write("/nowhere/at/all", "x", 1), SX_E_CREATE);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), "/nowhere/at/all"));
    ck_assert_int_eq((int)sx_file_size("/nowhere/at/all"), -1);
}
END_TEST

START_TEST(folders_are_made_with_all_their_parents) {
    char *path = sx_path_join(folder, "p/q//r/"), *file = sx_path_join(folder, "s/t/file");
    char *parent = sx_path_join(folder, "s/t");
    ck_assert_int_eq(sx_mkdirs(path), SX_OK);
    ck_assert_int_eq(sx_mkdirs(path), SX_OK);
    ck_assert(sx_file_is_dir(path));
    ck_assert_int_eq(sx_mkdirs_for(file), SX_OK);
    ck_assert(sx_file_is_dir(parent) && !sx_file_exists(file));
    ck_assert_int_eq(sx_mkdirs_for("plain_name"), SX_OK);
    sx_free(parent);
    sx_free(path);
    sx_free(file);
}
END_TEST

START_TEST(a_file_in_the_way_of_a_folder_is_an_error) {
    char *path = sx_path_join(folder, "block"), *below = sx_path_join(path, "sub");
    ck_assert_int_eq(sx_file_write(path, "x", 1), SX_OK);
    ck_assert_int_eq(sx_mkdirs(below), SX_E_CREATE);
    unlink(path);
    sx_free(path);
    sx_free(below);
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_has_the_reason) {
    char *link = sx_path_join(folder, "dangling");
    ck_assert_int_eq(symlink("not_there", link), 0);
    ck_assert_int_eq(sx_mkdirs(link), SX_E_CREATE);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), strerror(EEXIST))); /* not that of the look after */
    unlink(link);
    sx_free(link);
}
END_TEST

static void *make_same(void *path) {
    return (void *)(intptr_t)sx_mkdirs(path);
}

START_TEST(racing_mkdirs_all_succeed) {
    char *path = sx_path_join(folder, "race/a/b/c/d/e");
    pthread_t t[8];
    for (int i = 0; i < 8; i++) ck_assert_int_eq(pthread_create(&t[i], NULL, make_same, path), 0);
    for (int i = 0; i < 8; i++) {
        void *rc;
        pthread_join(t[i], &rc);
        ck_assert_int_eq((int)(intptr_t)rc, SX_OK);
    }
    ck_assert(sx_file_is_dir(path));
    sx_free(path);
}
END_TEST

START_TEST(paths_are_taken_apart_and_joined) {
    char *plain = sx_path_join("a", "b"), *slash = sx_path_join("a/", "b");
    ck_assert_str_eq(plain, "a/b");
    ck_assert_str_eq(slash, "a/b");
    ck_assert_str_eq(sx_path_base("/x/y.nii"), "y.nii");
    ck_assert_str_eq(sx_path_base("y.nii"), "y.nii");
    ck_assert(sx_has_suffix("y.nii.gz", ".nii.gz") && !sx_has_suffix("gz", ".nii.gz"));
    sx_free(plain);
    sx_free(slash);
}
END_TEST

int main(void) {
    if (!mkdtemp(folder)) return EXIT_FAILURE;
    int rc = CHECK_RUN(
        "file", what_is_written_is_read_back, a_large_file_is_read_whole,
        a_failed_write_keeps_the_old_file_and_leaves_no_rest,
        temporaries_of_hosts_have_names_of_their_own,
        a_commit_that_cannot_rename_removes_the_temporary, errors_name_the_path,
        folders_are_made_with_all_their_parents, a_file_in_the_way_of_a_folder_is_an_error,
        a_folder_that_cannot_be_made_has_the_reason, racing_mkdirs_all_succeed,
        paths_are_taken_apart_and_joined, who_lost_a_name_says_so_and_leaves_the_file_alone,
        a_sweep_takes_the_temporaries_of_its_names_alone, a_sweep_for_one_name_spares_longer_names);
    static const char *const made[] = {
        "p/q/r",        "p/q",        "p",        "s/t",    "s",   "race/a/b/c/d/e",
        "race/a/b/c/d", "race/a/b/c", "race/a/b", "race/a", "race"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char *path = sx_path_join(folder, made[i]);
        rmdir(path);
        sx_free(path);
    }
    return rmdir(folder) == 0 ? rc : EXIT_FAILURE; /* a test left something behind */
}
