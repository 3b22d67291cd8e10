// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a fuzz target over its kept inputs, without libFuzzer, so that every build of every compiler
 * checks what fuzzing once found: `NAME DIRECTORY` reads each file of the directory (sorted, so
 * that a crash is found again at the same place) and then the empty input and every single byte.
 * Fuzzing proper is `./dev fuzz`. Inputs over 64 MiB are refused; one thread.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_BYTES_MAX (64U * 1024U * 1024U)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > (off_t)INPUT_BYTES_MAX) {
        fclose(file);
        return 0;
    }
    size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size + 1);
    int bad = data == NULL || fread(data, 1, size, file) != size;
    fclose(file);
    if (!bad) {
        // An exact-size copy, so that AddressSanitizer sees one byte too many.
        uint8_t *exact = malloc(size > 0 ? size : 1);
        bad = exact == NULL;
        if (!bad) {
            memcpy(exact, data, size);
            LLVMFuzzerTestOneInput(exact, size);
        }
        free(exact);
    }
    free(data);
    return bad;
}

static int replay_directory(const char *directory, unsigned *count)
{
    struct dirent **entries = NULL;
    int entry_count = scandir(directory, &entries, NULL, alphasort);
    if (entry_count < 0) {
        return errno == ENOENT ? 0 : 1;
    }
    int bad = 0;
    for (int i = 0; i < entry_count; i++) {
        if (entries[i]->d_name[0] != '.') {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
            bad |= replay_file(path);
            *count += 1;
        }
        free(entries[i]);
    }
    free(entries);
    return bad;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int bad = argc > 1 ? replay_directory(argv[1], &count) : 0;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (unsigned value = 0; value < 256; value++) {
        uint8_t byte = (uint8_t)value;
        LLVMFuzzerTestOneInput(&byte, 1);
    }
    printf("%s inputs_kept_by_fuzzing_are_handled (%u files)\n", bad ? "not ok" : "ok", count);
    return bad;
}
