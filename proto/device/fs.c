/* The options of a shared directory: their rows, and what they mean.
 * Owns nothing; the rows are read by whatever carries options. TRUST: values are the operator's, judged by their rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device/fs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/refuse.h"

static const char *const fs_caches[] = {
    [FS_CACHE_NONE] = "none", [FS_CACHE_AUTO] = "auto", [FS_CACHE_ALWAYS] = "always", NULL};

/* Two numbers that user ids may be, and a colon between them. */
static bool fs_owner_ok(const char *text)
{
        size_t user = strspn(text, "0123456789");
        size_t group = text[user] == ':' ? strspn(text + user + 1, "0123456789") : 0;

        return user >= 1 && user <= 9 && group >= 1 && group <= 9 && text[user + 1 + group] == '\0';
}

/* A number of at most ten digits; NULL: there is none. */
static const char *fs_number(const char *text, uint64_t *ret_number)
{
        size_t len = strspn(text, "0123456789");

        if (len < 1 || len > 10)
                return NULL;
        *ret_number = strtoull(text, NULL, 10);
        return text + len;
}

/* "100000+65536". Neither the host's root nor the id that means none is in it. */
static bool fs_owners_read(const char *text, uint32_t *ret_first, uint32_t *ret_count)
{
        uint64_t first = 0, count = 0;

        text = fs_number(text, &first);
        if (!text || *text != '+')
                return false;
        text = fs_number(text + 1, &count);
        if (!text || *text != '\0' || first < 1 || count < 1 || count > LIMIT_FS_OWNERS ||
            first + count > LIMIT_FS_OWNER_END)
                return false;
        *ret_first = (uint32_t)first;
        *ret_count = (uint32_t)count;
        return true;
}

static bool fs_owners_ok(const char *text)
{
        uint32_t first, count;

        return fs_owners_read(text, &first, &count);
}

/* A comma would end it in a guest's list of mount options. */
static bool fs_tag_ok(const char *text)
{
        for (const char *p = text; *p; p++)
                if (*p <= 0x20 || *p > 0x7e || *p == ',' || *p == '/')
                        return false;
        return true;
}

const struct option_row fs_option_rows[FS_OPTION_COUNT_] = {
    [FS_OPTION_PATH] = {.key = "path", .kind = OPTION_PATH, .required = true},
    [FS_OPTION_TAG] = {.key = "tag",
                       .kind = OPTION_TEXT,
                       .max = LIMIT_FS_TAG,
                       .preset_name = true,
                       .ok = fs_tag_ok,
                       .form = "at most 36 printable characters without space, comma and slash"},
    [FS_OPTION_READ_ONLY] = {.key = "read_only", .kind = OPTION_FLAG},
    [FS_OPTION_CACHE] = {.key = "cache",
                         .kind = OPTION_CHOICE,
                         .choices = fs_caches,
                         .preset = FS_CACHE_AUTO},
    [FS_OPTION_XATTR] = {.key = "xattr", .kind = OPTION_FLAG},
    [FS_OPTION_LOCKS] = {.key = "locks", .kind = OPTION_FLAG},
    [FS_OPTION_OWNER] = {.key = "owner",
                         .kind = OPTION_TEXT,
                         .of_host = true,
                         .max = 19,
                         .ok = fs_owner_ok,
                         .form = "USER:GROUP in numbers, as in 1000:1000"},
    [FS_OPTION_OWNERS] =
        {.key = "owners",
         .kind = OPTION_TEXT,
         .max = 21,
         .ok = fs_owners_ok,
         .form = "FIRST+COUNT, as in 100000+65536: ids of the host, without 0, 16777216 at most"},
    [FS_OPTION_DAX_WINDOW] = {.key = "dax_window",
                              .kind = OPTION_SIZE,
                              .max = (uint64_t)LIMIT_FS_MAPS * FS_DAX_GRANULE},
};

int fs_options_judge(const struct option_set *set, char *why, size_t why_size)
{
        const uint64_t window = set->value[FS_OPTION_DAX_WINDOW].number;
        const bool owner = set->value[FS_OPTION_OWNER].text[0] != '\0';
        const bool owners = set->value[FS_OPTION_OWNERS].text[0] != '\0';

        if (owner && owners)
                return refuse(why, why_size,
                              "owner and owners exclude each other: files are one owner's, or of a range");
        if (window % FS_DAX_GRANULE != 0)
                return refuse(why, why_size, "dax_window is %" PRIu64 ": use whole 2M, as in 64M", window);
        if (window > 0 && owners)
                return refuse(why, why_size, "dax_window and owners exclude each other: remove one of them");
        return 0;
}

unsigned fs_regions(const struct option_set *set,
                    struct device_region ret_regions[static LIMIT_SHMEM_REGIONS])
{
        const uint64_t window = set->value[FS_OPTION_DAX_WINDOW].number;

        if (window == 0)
                return 0;
        ret_regions[0] = (struct device_region){
            .shmid = FS_SHMID_DAX, .len = window, .source = REGION_FILES, .granule = FS_DAX_GRANULE};
        return 1;
}

struct fs_options fs_options_read(const struct option_set *set)
{
        const struct option_value *v = set->value;
        struct fs_options options = {
            .path = v[FS_OPTION_PATH].text,
            .tag = v[FS_OPTION_TAG].text,
            .read_only = v[FS_OPTION_READ_ONLY].number != 0,
            .cache = (enum fs_cache)v[FS_OPTION_CACHE].number,
            .xattr = v[FS_OPTION_XATTR].number != 0,
            .locks = v[FS_OPTION_LOCKS].number != 0,
            .owner = v[FS_OPTION_OWNER].text,
            .dax_window = v[FS_OPTION_DAX_WINDOW].number,
        };

        (void)fs_owners_read(v[FS_OPTION_OWNERS].text, &options.first_owner, &options.n_owners);
        return options;
}
