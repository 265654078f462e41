#include "base/sx_hash.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "tests/check_run.h"

/* FIPS 180-4 examples (NIST, SHA256.pdf) and the empty message. */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define TWO_BLOCKS "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

START_TEST(known_messages_give_known_digests) {
    char hex[SX_HASH_HEX];
    sx_hash_bytes("", 0, hex);
    ck_assert_str_eq(hex, EMPTY);
    sx_hash_bytes("abc", 3, hex);
    ck_assert_str_eq(hex, ABC);
    sx_hash_bytes(two_blocks, strlen(two_blocks), hex);
    ck_assert_str_eq(hex, TWO_BLOCKS);
}
END_TEST

START_TEST(pieces_give_the_digest_of_the_whole) {
    char hex[SX_HASH_HEX];
    sx_hasher *h = sx_hasher_new();
    for (size_t i = 0; i < strlen(two_blocks); i++) sx_hasher_add(h, two_blocks + i, 1);
    sx_hasher_end(h, hex);
    ck_assert_str_eq(hex, TWO_BLOCKS);
}
END_TEST

START_TEST(texts_do_not_run_together) {
    static const char *const text[] = {"a", "bc"};
    char hex[SX_HASH_HEX], want[SX_HASH_HEX];
    sx_hash_texts(text, 2, hex);
    sx_hash_bytes("a\0bc", 5, want);
    ck_assert_str_eq(hex, want);
}
END_TEST

START_TEST(a_key_is_the_head_of_the_digest) {
    ck_assert_uint_eq(sx_hash_key("abc"), UINT64_C(0xba7816bf8f01cfea));
}
END_TEST

START_TEST(a_file_has_the_digest_of_its_bytes) {
    char hex[SX_HASH_HEX], path[] = "/tmp/sx_hash_XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, "abc", 3), 3);
    close(fd);
    ck_assert_int_eq(sx_hash_file(path, hex), SX_OK);
    ck_assert_str_eq(hex, ABC);
    unlink(path);
}
END_TEST

START_TEST(files_and_pieces_go_into_one_digest) {
    char hex[SX_HASH_HEX], path[] = "/tmp/sx_hash_XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, "bc", 2), 2);
    close(fd);
    sx_hasher *h = sx_hasher_new();
    sx_hasher_add(h, "a", 1);
    ck_assert_int_eq(sx_hasher_add_file(h, path), SX_OK);
    sx_hasher_end(h, hex);
    ck_assert_str_eq(hex, ABC);
    unlink(path);
}
END_TEST

START_TEST(a_missing_file_is_a_missing_input) {
    char hex[SX_HASH_HEX];
    ck_assert_int_eq(sx_hash_file("/nowhere/file", hex), SX_E_NOINPUT);
    ck_assert_ptr_nonnull(strstr(sx_err_text(), "/nowhere/file"));
}
END_TEST

int main(void) {
    return CHECK_RUN("hash", known_messages_give_known_digests, pieces_give_the_digest_of_the_whole,
                     texts_do_not_run_together, a_key_is_the_head_of_the_digest,
                     a_file_has_the_digest_of_its_bytes, files_and_pieces_go_into_one_digest,
                     a_missing_file_is_a_missing_input);
}
