#!/usr/bin/env bash
# Downloads the drawings for the training images into a folder: fetch.sh FOLDER
set -euo pipefail
mkdir -p "${1:?usage: fetch.sh FOLDER}"
cd "$1"

# fetch NAME PACKAGE SHA256: unpacks a package of npm into the folder NAME.
fetch() {
    local archive
    archive=$(npm pack --silent "$2")
    echo "$3  $archive" | sha256sum --check --quiet
    mkdir -p "$1"
    tar xzf "$archive" -C "$1" --strip-components=1
    rm "$archive"
}

fetch fluent-emoji-3d @lobehub/fluent-emoji-3d@1.1.0 c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58
fetch fluent-emoji-flat @iconify-json/fluent-emoji-flat@1.2.6 7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175
fetch noto @iconify-json/noto@1.2.9 3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad
