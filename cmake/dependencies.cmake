# SPDX-License-Identifier: Apache-2.0
#
# Packaged libraries, all of Debian 12 and Ubuntu 24.04. Shared ones come by pkg-config; two are
# linked in: llhttp, which is shipped as source, and gRPC core, which only one exporter needs and
# whose forty shared objects would cost every start.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

foreach(dependency
        "NGHTTP2 libnghttp2" "CURL libcurl" "OPENSSL openssl" "ZSTD libzstd" "ISAL libisal"
        "DEFLATE libdeflate" "JSON_C json-c" "FYAML libfyaml" "PCRE2 libpcre2-8"
        "XXHASH libxxhash" "YAJL yajl" "PROTOBUF_C libprotobuf-c" "SQLITE sqlite3")
    separate_arguments(dependency)
    list(GET dependency 0 variable)
    list(GET dependency 1 module)
    pkg_check_modules(${variable} REQUIRED QUIET IMPORTED_TARGET ${module})
endforeach()

# llhttp: the C sources that come with node-llhttp, or the library where it is packaged. Below
# version 9 its strict mode is a build option, which lets "Host : a" pass when it is off.
pkg_check_modules(LLHTTP QUIET IMPORTED_TARGET libllhttp)
if(LLHTTP_FOUND)
    add_library(llhttp_vendor INTERFACE)
    target_link_libraries(llhttp_vendor INTERFACE PkgConfig::LLHTTP)
else()
    find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp /usr/share/nodejs/llhttp/src
        NO_DEFAULT_PATH REQUIRED)
    find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp /usr/include
        ${LLHTTP_SOURCE_DIR}/../include NO_DEFAULT_PATH REQUIRED)
    add_library(llhttp_vendor STATIC ${LLHTTP_SOURCE_DIR}/api.c ${LLHTTP_SOURCE_DIR}/http.c
        ${LLHTTP_SOURCE_DIR}/llhttp.c)
    target_include_directories(llhttp_vendor SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
    target_compile_definitions(llhttp_vendor PUBLIC LLHTTP_STRICT_MODE=1)
    set_target_properties(llhttp_vendor PROPERTIES COMPILE_OPTIONS "-w;-fPIE;-ffunction-sections")
endif()

# gRPC core: every library that its .pc file names, as an archive where there is one. OpenSSL and
# zlib stay shared, because libcurl has them in the process anyway.
add_library(sj_grpc INTERFACE)
if(SIDEJUDGE_GRPC)
    pkg_check_modules(GRPC REQUIRED QUIET grpc)
    set(archives "")
    list(REMOVE_DUPLICATES GRPC_LIBRARIES)
    foreach(name IN LISTS GRPC_LIBRARIES)
        find_library(SJ_ARCHIVE_${name} NAMES lib${name}.a)
        mark_as_advanced(SJ_ARCHIVE_${name})
        if(name MATCHES "^(ssl|crypto|z|dl|rt|atomic|pthread)$" OR NOT SJ_ARCHIVE_${name})
            list(APPEND archives -l${name})
        else()
            list(APPEND archives ${SJ_ARCHIVE_${name}})
        endif()
    endforeach()
    list(JOIN archives " " archives)
    set(stdcxx "-Wl,-Bstatic -lstdc++ -Wl,-Bdynamic")
    if(SIDEJUDGE_SANITIZE OR SIDEJUDGE_FUZZ)
        set(stdcxx "-lstdc++")  # the sanitizers' runtime brings the shared one
    endif()
    target_link_libraries(sj_grpc INTERFACE
        "-Wl,--start-group ${archives} -Wl,--end-group ${stdcxx} -lgcc_eh -lm -ldl")
endif()
