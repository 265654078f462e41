/* io_bids: names, filters, order, tolerance of what lies about in real trees. */
#include "io/io_bids.h"
#include <sys/stat.h>
#include "tests/check_run.h"
#include "tests/io/io_test.h"

/* Make a tree of empty files; returns its root. */
static const char *tree(const char *name, const char *const *files) {
    const char *root = io_test_path(name);
    for (int i = 0; files[i]; i++) {
        char *path = sx_path_join(root, files[i]);
        ck_ok(sx_mkdirs_for(path));
        io_bytes_write(path, "x", 1);
        sx_free(path);
    }
    return root;
}

static const char *const files[] = {
    "dataset_description.json",
    "participants.tsv",
    "sub-02/anat/sub-02_acq-sag_T2w.nii.gz",
    "sub-02/anat/sub-02_acq-sag_T2w.json",
    "sub-02/anat/._sub-02_acq-sag_T2w.nii.gz",
    "sub-02/anat/.hidden/sub-02_acq-sag_T2w.nii.gz",
    "sub-01/ses-b/anat/sub-01_ses-b_acq-ax_chunk-2_run-03_desc-x_space-q_T2w.nii",
    "sub-01/ses-a/anat/sub-01_ses-a_acq-iso_T1w.hdr",
    "sub-01/ses-a/anat/sub-01_ses-a_acq-iso_T1w.img",
    "sub-01/ses-a/anat/sub-01_ses-a_acq-iso_T2w.json",
    "sub-01/ses-a/anat/notes.txt",
    "derivatives/labels/sub-02/anat/sub-02_acq-sag_T2w.nii.gz",
    "sourcedata/sub-02/anat/sub-02_acq-sag_T2w.nii.gz",
    "nonsense.nii.gz",
    NULL,
};

START_TEST(a_tree_is_walked_in_sorted_order_without_clutter) {
    io_items x;
    ck_ok(io_bids_walk(tree("bids", files), NULL, &x));
    ck_assert_int_eq(x.n, 3);
    ck_assert_str_eq(x.item[0].rel, "sub-01/ses-a/anat/sub-01_ses-a_acq-iso_T1w.hdr");
    ck_assert_str_eq(x.item[1].stem, "sub-01_ses-b_acq-ax_chunk-2_run-03_desc-x_space-q_T2w");
    ck_assert_str_eq(x.item[2].rel, "sub-02/anat/sub-02_acq-sag_T2w.nii.gz");
    io_items_clear(&x);
}
END_TEST

static bool has_suffix(const void *user, const io_item *item) {
    return strcmp(item->suffix, user) == 0;
}

START_TEST(items_that_are_kept_stay_in_order) {
    io_items x;
    ck_ok(io_bids_walk(tree("bids", files), NULL, &x));
    io_items_keep(&x, has_suffix, "T2w");
    ck_assert_int_eq(x.n, 2);
    ck_assert_str_eq(x.item[0].session, "b");
    ck_assert_str_eq(x.item[1].subject, "02");
    ck_assert(!io_same_session(&x.item[0], &x.item[1]));
    io_items_keep(&x, has_suffix, "T1w");
    ck_assert_int_eq(x.n, 0);
    io_items_clear(&x);
}
END_TEST

START_TEST(the_largest_item_is_first_and_equal_ones_go_by_name) {
    char name[] = {'c', 0, 'a', 0, 'b', 0};
    io_item item[] = {
        {.rel = name, .bytes = 1}, {.rel = name + 2, .bytes = 1}, {.rel = name + 4, .bytes = 7}};
    io_items x = {.item = item, .n = 3};
    io_items_largest_first(&x);
    ck_assert_str_eq(x.item[0].rel, "b");
    ck_assert_str_eq(x.item[1].rel, "a");
    ck_assert_str_eq(x.item[2].rel, "c");
}
END_TEST

START_TEST(names_are_taken_apart) {
    io_items x;
    ck_ok(io_bids_walk(tree("bids", files), NULL, &x));
    const io_item *it = &x.item[1];
    ck_assert_str_eq(it->subject, "01");
    ck_assert_str_eq(it->session, "b");
    ck_assert_str_eq(it->acq, "ax");
    ck_assert_str_eq(it->suffix, "T2w");
    ck_assert_str_eq(it->desc, "x");
    ck_assert_str_eq(it->dir, "sub-01/ses-b/anat");
    ck_assert_int_eq(it->chunk, 2);
    ck_assert_int_eq(it->run, 3);
    ck_assert_int_eq(it->bytes, 1);
    ck_assert_str_eq(x.item[2].session, "");
    ck_assert_int_eq(x.item[2].chunk, -1);
    ck_assert_int_eq(x.item[2].run, -1);
    io_items_clear(&x);
}
END_TEST

START_TEST(only_numbers_are_numbers_and_zero_is_one) {
    static const struct {
        const char *name;
        int chunk;
    } of[] = {{"chunk-0", 0},           {"chunk-00", 0},       {"chunk-07", 7},
              {"chunk-999999", 999999}, {"chunk-1000000", -1}, {"chunk-upper", -1},
              {"chunk-1a", -1},         {"chunk-", -1}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        io_items x;
        char *name = sx_strf("sub-1_%s_T2w.nii", of[i].name);
        char *path = sx_path_join(tree("numbers", (const char *const[]){name, NULL}), name);
        ck_ok(io_bids_file(path, &x));
        ck_assert_msg(x.item[0].chunk == of[i].chunk, "%s: %d", name, x.item[0].chunk);
        io_items_clear(&x);
        sx_free(path);
        sx_free(name);
    }
}
END_TEST

#define HEX_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX_128 HEX_64 HEX_64
#define HEX_192 HEX_128 HEX_64

START_TEST(long_labels_are_whole_or_refused_with_their_path) {
    static const char *const scans[] = {"sub-" HEX_128 "/sub-" HEX_128 "_T2w.nii",
                                        "sub-" HEX_64 "/sub-" HEX_64 "_T2w.nii",
                                        "sub-" HEX_64 "x/sub-" HEX_64 "x_T2w.nii",
                                        "sub-" HEX_192 "/sub-" HEX_192 "_T2w.nii",
                                        "sub-1/sub-1_acq-" HEX_192 "_T2w.nii",
                                        "sub-1/sub-1_" HEX_192 ".nii",
                                        NULL};
    static const struct {
        io_filter filter;
        int n, n_unreadable;
    } of[] = {{{.acq = ""}, 4, 2},           {{.subjects = HEX_128}, 1, 0},
              {{.subjects = HEX_64}, 1, 0},  {{.subjects = HEX_64 "x"}, 1, 0},
              {{.subjects = HEX_192}, 0, 1}, {{.exclude = HEX_192}, 4, 1},
              {{.suffix = "T1w"}, 0, 0},     {{.suffix = "T2w"}, 3, 2}};
    const char *root = tree("long", scans);
    io_items x;
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        ck_ok(io_bids_walk(root, &of[i].filter, &x));
        ck_assert_msg(x.n == of[i].n && x.n_unreadable == of[i].n_unreadable,
                      "filter %d: %d images and %d refused", (int)i, (int)x.n, (int)x.n_unreadable);
        io_items_clear(&x);
    }
    char *path = sx_path_join(root, scans[3]);
    ck_err(io_bids_file(path, &x), SX_E_DATA);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), scans[3]));
    sx_free(path);
    path = sx_path_join(root, scans[5]);
    ck_ok(io_bids_file(path, &x));
    ck_assert_str_eq(x.item[0].suffix, ""); // so long a word is none
    io_bids_join_chunks(&x);
    ck_assert_str_eq(x.item[0].stem, "sub-1_" HEX_192 "_desc-stitched");
    io_items_clear(&x);
    sx_free(path);
}
END_TEST

static const struct {
    io_filter filter;
    int n;
} filters[] = {
    {{.acq = "sag,iso"}, 2},     {{.acq = "sag"}, 1},    {{.acq = ""}, 3},
    {{.acq = "sa"}, 0},          {{.suffix = "T2w"}, 2}, {{.subjects = "sub-01"}, 2},
    {{.subjects = "02, 03"}, 1}, {{.exclude = "01"}, 1}, {{.exclude = "sub-02_acq-sag_T2w"}, 2},
    {{.derivatives = true}, 4},
};

START_TEST(filters_keep_what_they_name) {
    io_items x;
    ck_ok(io_bids_walk(tree("bids", files), &filters[_i].filter, &x));
    ck_assert_msg(x.n == filters[_i].n, "filter %d: got %d items, want %d", _i, (int)x.n,
                  filters[_i].n);
    io_items_clear(&x);
}
END_TEST

START_TEST(a_list_that_was_written_gives_what_the_search_gave) {
    const io_filter f = {.derivatives = true};
    char *list = sx_strf("%s.tsv", io_test_path("found"));
    io_items x, y;
    ck_ok(io_bids_walk(tree("bids", files), &f, &x));
    x.item[1].bytes = 4711; // sizes are those of then: they decide about the order of work
    for (int64_t i = 0; i < x.n; i++) { // from anywhere: paths are absolute then
        char *path = sx_strf("%s/%s", getcwd((char[4096]){0}, 4096), x.item[i].path);
        sx_free(x.item[i].path);
        x.item[i].path = path;
    }
    ck_ok(io_bids_list_write(list, &x));
    ck_ok(io_bids_list(list, &f, &y));
    ck_assert_int_eq(y.n, x.n);
    for (int64_t i = 0; i < x.n; i++) {
        const io_item *a = &x.item[i], *b = &y.item[i];
        ck_assert_str_eq(a->path, b->path);
        ck_assert_str_eq(a->rel, b->rel);
        ck_assert_str_eq(a->dir, b->dir);
        ck_assert_str_eq(a->stem, b->stem);
        ck_assert_str_eq(a->subject, b->subject);
        ck_assert_str_eq(a->session, b->session);
        ck_assert_str_eq(a->acq, b->acq);
        ck_assert_int_eq(a->chunk, b->chunk);
        ck_assert_int_eq(a->bytes, b->bytes);
    }
    sx_free(x.item[0].path);
    x.item[0].path = sx_strdup("a\tb");
    ck_err(io_bids_list_write(list, &x), SX_E_DATA);
    io_items_clear(&x);
    io_items_clear(&y);
    sx_free(list);
}
END_TEST

/* A link in a tree, made anew. */
static void link_to(const char *root, const char *name, const char *target) {
    char *path = sx_path_join(root, name);
    unlink(path);
    ck_assert_int_eq(symlink(target, path), 0);
    sx_free(path);
}

START_TEST(links_to_folders_above_end_and_give_nothing_twice) {
    const char *root = tree("loop", (const char *const[]){"sub-1/anat/sub-1_T2w.nii", NULL});
    io_items x;
    link_to(root, "sub-1/up", "..");
    link_to(root, "sub-1/anat/top", "../..");
    ck_ok(io_bids_walk(root, NULL, &x));
    ck_assert_int_eq(x.n, 1);
    ck_assert_int_eq(x.n_unreadable, 0);
    io_items_clear(&x);
}
END_TEST

START_TEST(a_link_to_content_that_was_not_fetched_is_an_item) {
    const char *root = tree("annex", (const char *const[]){"sub-1/anat/sub-1_T2w.json", NULL});
    io_items x;
    link_to(root, "sub-1/anat/sub-1_T2w.nii.gz", "../../.git/annex/objects/x");
    link_to(root, "sub-1/anat/sub-1_T1w.json", "../../.git/annex/objects/y");
    ck_ok(io_bids_walk(root, NULL, &x));
    ck_assert_int_eq(x.n, 1);
    ck_assert_str_eq(x.item[0].stem, "sub-1_T2w");
    ck_assert_int_eq(x.item[0].bytes, -1);
    io_items_clear(&x);
}
END_TEST

START_TEST(a_folder_without_permission_is_counted_and_spares_the_others) {
    const char *root = tree(
        "locked", (const char *const[]){"sub-1/anat/sub-1_T2w.nii", "sub-2/sub-2_T2w.nii", NULL});
    const io_filter others = {.exclude = "1"};
    const bool privileged = geteuid() == 0; // who may read everything becomes nobody
    char *locked = sx_path_join(root, "sub-1/anat");
    io_items x, y;
    ck_assert_int_eq(chmod(locked, privileged ? 0700 : 0), 0);
    if (privileged) ck_assert_int_eq(seteuid(65534), 0);
    const sx_err rc = io_bids_walk(root, NULL, &x), rc_others = io_bids_walk(root, &others, &y);
    if (privileged) ck_assert_int_eq(seteuid(0), 0);
    chmod(locked, 0755);
    ck_ok(rc);
    ck_assert_int_eq(x.n, 1);
    ck_assert_int_eq(x.n_unreadable, 1);
    ck_ok(rc_others);
    ck_assert_int_eq(y.n_unreadable, 0); // nobody asked for it
    io_items_clear(&x);
    io_items_clear(&y);
    sx_free(locked);
}
END_TEST

static sx_err read_list(const char *text, io_items *x) {
    const char *root = tree("bids", files);
    char *path = sx_path_join(root, "list.tsv");
    io_bytes_write(path, text, strlen(text));
    sx_err rc = io_bids_list(path, NULL, x);
    sx_free(path);
    return rc;
}

START_TEST(a_list_names_files_and_may_override_their_entities) {
    io_items x;
    ck_ok(read_list("subject\tpath\tacq\nsub-9\tnonsense.nii.gz\tsag\n"
                    "n/a\tsub-02/anat/sub-02_acq-sag_T2w.nii.gz\t\n",
                    &x));
    ck_assert_int_eq(x.n, 2);
    ck_assert_str_eq(x.item[0].subject, "9");
    ck_assert_str_eq(x.item[0].acq, "sag");
    ck_assert_int_eq(x.item[0].bytes, 1);
    ck_assert_str_eq(x.item[0].dir, "sub-9/anat");
    ck_assert_str_eq(x.item[1].subject, "02");
    ck_assert_str_eq(x.item[1].acq, "sag");
    io_items_clear(&x);
}
END_TEST

START_TEST(one_file_is_taken_whatever_its_name) {
    io_items x;
    const char *root = tree("bids", files);
    char *bids = sx_path_join(root, files[6]), *plain = sx_path_join(root, "nonsense.nii.gz");
    ck_ok(io_bids_file(bids, &x));
    ck_assert_int_eq(x.n, 1);
    ck_assert_str_eq(x.item[0].path, bids);
    ck_assert_str_eq(x.item[0].rel, sx_path_base(bids));
    ck_assert_str_eq(x.item[0].dir, "");
    ck_assert_str_eq(x.item[0].subject, "01");
    ck_assert_str_eq(x.item[0].desc, "x");
    ck_assert_str_eq(x.item[0].suffix, "T2w");
    io_items_clear(&x);
    ck_ok(io_bids_file(plain, &x));
    ck_assert_str_eq(x.item[0].stem, "nonsense");
    ck_assert_str_eq(x.item[0].subject, "");
    ck_assert_str_eq(x.item[0].suffix, "");
    io_items_clear(&x);
    ck_err(io_bids_file("scratch-io/absent.nii", &x), SX_E_NOINPUT);
    sx_free(bids);
    sx_free(plain);
}
END_TEST

static const char *const bad_lists[][2] = {
    {"file\nx.nii\n", ":1: no column"},
    {"path\nnonsense.nii.gz\n", ":2: no subject"},
    {"path\tsubject\n\t1\n", ":2: no path"},
    {"path\tsubject\na.nii\t1\na.nii\t1\n", "twice"},
    {"path\tsubject\na.nii\n", ":2: 1 cells"},
    {"path\tsubject\na.nii\t1\n./a.nii\t2\n", "twice"},
    {"path\tsubject\na.nii\t../1\n", ":2: a label"},
    {"path\tsubject\na.nii\t" HEX_192 "\n", ":2: a label of a.nii is longer"},
    {"path\nx/sub-" HEX_192 "_T2w.nii\n", ":2: a label of x/sub-"},
    {"path\tsubject\tfolder\na.nii\t1\t../x\n", ":2: the item"},
    {"path\tsubject\tfolder\na.nii\t1\tx//..\n", ":2: the item"},
    {"path\tsubject\tfolder\na.nii\t1\t/x\n", ":2: the item"},
    {"path\tsubject\titem\na.nii\t1\t\n", ":2: the item"},
};

START_TEST(a_bad_list_is_refused_with_its_line) {
    io_items x;
    ck_err(read_list(bad_lists[_i][0], &x), SX_E_DATA);
    ck_assert_msg(strstr(sx_err_text(), bad_lists[_i][1]) != NULL, "got %s", sx_err_text());
}
END_TEST

START_TEST(an_absent_tree_is_a_missing_input_and_an_empty_one_is_not) {
    io_items x;
    ck_err(io_bids_walk("scratch-io/absent", NULL, &x), SX_E_NOINPUT);
    ck_err(io_bids_list("scratch-io/absent.tsv", NULL, &x), SX_E_NOINPUT);
    ck_ok(io_bids_walk(tree("empty", (const char *const[]){"README", NULL}), NULL, &x));
    ck_assert_int_eq(x.n, 0);
    io_items_clear(&x);
}
END_TEST

START_TEST(slice_thickness_comes_from_the_sidecar) {
    io_items x;
    const char *root = tree("bids", files);
    char *sidecar = sx_path_join(root, "sub-02/anat/sub-02_acq-sag_T2w.json");
    io_bytes_write(sidecar, "{\"SliceThickness\": 3.3}", 23);
    ck_ok(io_bids_walk(root, NULL, &x));
    ck_assert_double_eq(io_bids_slice_thickness(&x.item[2], 1), 3.3);
    ck_assert_double_eq(io_bids_slice_thickness(&x.item[0], 1.5), 1.5);
    io_bytes_write(sidecar, "{\"SliceThickness\": \"x\"", 22);
    ck_assert_double_eq(io_bids_slice_thickness(&x.item[2], 4), 4);
    io_items_clear(&x);
    sx_free(sidecar);
}
END_TEST

START_TEST(a_description_is_written_once) {
    const char *root = io_test_path("derived");
    ck_ok(io_bids_describe(root, "one", "bids"));
    ck_ok(io_bids_describe(root, "two", "bids"));
    char *path = sx_path_join(root, "dataset_description.json");
    io_bytes b = io_bytes_read(path);
    ck_assert_ptr_nonnull(strstr(b.data, "\"Name\": \"one\""));
    ck_assert_ptr_nonnull(strstr(b.data, "\"DatasetType\": \"derivative\""));
    sx_free(b.data);
    sx_free(path);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

START_TEST(chunks_of_one_scan_become_one_item) {
    static const char *const scans[] = {"sub-1/anat/sub-1_acq-ax_chunk-10_T2w.nii.gz",
                                        "sub-1/anat/sub-1_acq-ax_chunk-2_T2w.nii.gz",
                                        "sub-1/anat/sub-1_acq-ax_chunk-1_T2w.nii.gz",
                                        "sub-1/anat/sub-1_acq-ax_run-2_T2w.nii.gz",
                                        "sub-1/anat/sub-1_acq-sag_chunk-1_T2w.nii.gz",
                                        "sub-2/anat/sub-2_chunk-1_desc-a_T2w.nii.gz",
                                        "sub-2/anat/sub-2_chunk-2_desc-a_T2w.nii.gz",
                                        "sub-2/anat/sub-2_desc-a_T2w.nii.gz",
                                        NULL};
    char *list = sx_strf("%s.tsv", io_test_path("joined"));
    io_items x, y;
    ck_ok(io_bids_walk(tree("chunks", scans), NULL, &x));
    io_bids_join_chunks(&x);
    ck_assert_int_eq(x.n, 5);
    ck_assert_str_eq(x.item[0].rel, "sub-1/anat/sub-1_acq-ax_desc-stitched_T2w.nii.gz");
    ck_assert_str_eq(x.item[0].desc, "stitched");
    ck_assert_int_eq(x.item[0].n_parts, 3);
    ck_assert_int_eq(x.item[0].bytes, 3);
    for (int i = 0; i < 3; i++) // by number, not by name
        ck_assert_int_eq(x.item[0].part[i].chunk, ((const int[]){1, 2, 10})[i]);
    ck_assert_str_eq(x.item[0].path, x.item[0].part[0].path);
    ck_assert_str_eq(x.item[1].rel, "sub-1/anat/sub-1_acq-ax_run-2_T2w.nii.gz");
    ck_assert_str_eq(x.item[1].stem, "sub-1_acq-ax_run-2_desc-stitched_T2w");
    ck_assert_int_eq(x.item[1].n_parts, 1);
    ck_assert_str_eq(x.item[3].stem, "sub-2_desc-astitched_T2w");
    ck_assert_int_eq(x.item[3].n_parts, 2);
    ck_assert_int_eq(x.item[4].n_parts, 1); // no chunk: not one of several
    for (int i = 0; i < 3; i++)             // paths of a list are below its folder
        for (int64_t k = 0; k < x.n && i < x.item[k].n_parts; k++) {
            char *path = sx_strf("%s/%s", getcwd((char[4096]){0}, 4096), x.item[k].part[i].path);
            sx_free(x.item[k].part[i].path);
            x.item[k].part[i].path = path;
        }
    ck_ok(io_bids_list_write(list, &x));
    ck_ok(io_bids_list(list, NULL, &y));
    ck_assert_int_eq(y.n, 8);
    io_bids_join_chunks(&y);
    ck_assert_int_eq(y.n, x.n);
    for (int64_t i = 0; i < x.n; i++) ck_assert_str_eq(x.item[i].rel, y.item[i].rel);
    io_items_clear(&x);
    io_items_clear(&y);
    sx_free(list);
}
END_TEST

START_TEST(a_chunk_may_be_number_0) {
    static const char *const scans[] = {
        "sub-1/anat/sub-1_chunk-0_T2w.nii", "sub-1/anat/sub-1_chunk-1_T2w.nii",
        "sub-1/anat/sub-1_chunk-2_T2w.nii", "sub-2/anat/sub-2_chunk-0_T2w.nii", NULL};
    io_items x;
    ck_ok(io_bids_walk(tree("zero", scans), NULL, &x));
    io_bids_join_chunks(&x);
    ck_assert_int_eq(x.n, 2);
    ck_assert_int_eq(x.item[0].n_parts, 3);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(x.item[0].part[i].chunk, i);
    ck_assert_int_eq(x.item[0].chunk, -1);
    ck_assert_int_eq(x.item[1].n_parts, 1);
    io_items_clear(&x);
}
END_TEST

int main(void) {
    Suite *s = suite_create("io_bids");
    TCase *c = tcase_create("all");
    tcase_add_test(c, a_tree_is_walked_in_sorted_order_without_clutter);
    tcase_add_test(c, items_that_are_kept_stay_in_order);
    tcase_add_test(c, the_largest_item_is_first_and_equal_ones_go_by_name);
    tcase_add_test(c, names_are_taken_apart);
    tcase_add_test(c, only_numbers_are_numbers_and_zero_is_one);
    tcase_add_test(c, long_labels_are_whole_or_refused_with_their_path);
    tcase_add_loop_test(c, filters_keep_what_they_name, 0, COUNT(filters));
    tcase_add_test(c, links_to_folders_above_end_and_give_nothing_twice);
    tcase_add_test(c, a_link_to_content_that_was_not_fetched_is_an_item);
    tcase_add_test(c, a_folder_without_permission_is_counted_and_spares_the_others);
    tcase_add_test(c, a_list_names_files_and_may_override_their_entities);
    tcase_add_test(c, a_list_that_was_written_gives_what_the_search_gave);
    tcase_add_test(c, chunks_of_one_scan_become_one_item);
    tcase_add_test(c, a_chunk_may_be_number_0);
    tcase_add_test(c, one_file_is_taken_whatever_its_name);
    tcase_add_loop_test(c, a_bad_list_is_refused_with_its_line, 0, COUNT(bad_lists));
    tcase_add_test(c, an_absent_tree_is_a_missing_input_and_an_empty_one_is_not);
    tcase_add_test(c, slice_thickness_comes_from_the_sidecar);
    tcase_add_test(c, a_description_is_written_once);
    suite_add_tcase(s, c);
    return check_run_suite(s);
}
