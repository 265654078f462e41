/* popen and its exit code; words as a POSIX shell reads them back (job_shell.h). */
#include "jobs/job/job_shell.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

char *job_shell(const char *command, int *status) {
    char *text = NULL, block[4096];
    size_t n_bytes, n;
    FILE *to = open_memstream(&text, &n_bytes), *from = popen(command, "r");
    SX_ASSERT(to);
    while (from && (n = fread(block, 1, sizeof block, from)) > 0) fwrite(block, 1, n, to);
    const int ended = from ? pclose(from) : -1;
    fclose(to);
    *status = ended != -1 && WIFEXITED(ended) ? WEXITSTATUS(ended) : 127;
    while (n_bytes > 0 && strchr("\n\r ", text[n_bytes - 1])) text[--n_bytes] = '\0';
    return text;
}

void job_quote(FILE *f, const char *word) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "%+,-./:=@_";
    if (*word && strspn(word, plain) == strlen(word)) {
        fputs(word, f);
        return;
    }
    fputc('\'', f);
    for (; *word; word++) fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, f);
    fputc('\'', f);
}

char *job_command_line(const job_verb *v, int n, char **word) {
    char *text = NULL;
    size_t n_bytes;
    FILE *f = open_memstream(&text, &n_bytes);
    SX_ASSERT(f);
    fprintf(f, "sagax %s", v->name);
    for (int i = 0; i < n; i++) {
        fputc(' ', f);
        job_quote(f, word[i]);
    }
    fclose(f);
    return text;
}

void job_shell_flatten(char *text) {
    for (; *text; text++)
        if (strchr("\n\r\t", *text)) *text = ' ';
}
