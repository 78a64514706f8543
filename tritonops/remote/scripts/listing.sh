#!/bin/sh
# What a manifest says, of the files below the working directory.
listing() {
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum -z
    find . -type f -perm -u+x -printf 'x %p\0' | LC_ALL=C sort -z
    find . -type l -printf 'l %p -> %l\0' | LC_ALL=C sort -z
}
