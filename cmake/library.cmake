# SPDX-License-Identifier: Apache-2.0
#
# How a folder becomes a library. Source lists are explicit; a list that is still empty makes a
# library of headers only.

# sj_existing(OUT files...): the files that are there; a warning for each that is not.
function(sj_existing OUT)
    set(found "")
    foreach(file IN LISTS ARGN)
        if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
            list(APPEND found ${file})
        else()
            message(WARNING "${CMAKE_CURRENT_SOURCE_DIR}/${file} is listed but not there")
        endif()
    endforeach()
    set(${OUT} "${found}" PARENT_SCOPE)
endfunction()

# sj_library(NAME sources... LIBS libraries...): headers are included by their path from the root.
function(sj_library NAME)
    cmake_parse_arguments(ARG "" "" "LIBS" ${ARGN})
    sj_existing(sources ${ARG_UNPARSED_ARGUMENTS})
    if(sources)
        add_library(${NAME} STATIC ${sources})
        set(scope PUBLIC)
    else()
        add_library(${NAME} INTERFACE)
        set(scope INTERFACE)
    endif()
    target_include_directories(${NAME} ${scope} ${PROJECT_SOURCE_DIR})
    target_link_libraries(${NAME} ${scope} ${ARG_LIBS})
endfunction()

# sj_protobuf(NAME files.proto...): protobuf-c's output, under the build tree's proto/, so that a
# generated header is included by the path of its .proto file, "opentelemetry/.../trace.pb-c.h".
function(sj_protobuf NAME)
    find_program(PROTOC_C protoc-c REQUIRED)
    set(root ${CMAKE_CURRENT_SOURCE_DIR})
    set(out ${CMAKE_CURRENT_BINARY_DIR}/generated)
    file(MAKE_DIRECTORY ${out})
    set(sources "")
    sj_existing(protos ${ARGN})
    foreach(proto IN LISTS protos)
        string(REGEX REPLACE "\\.proto$" ".pb-c" stem ${proto})
        add_custom_command(OUTPUT ${out}/${stem}.c ${out}/${stem}.h
            COMMAND ${PROTOC_C} --c_out=${out} --proto_path=${root} ${root}/${proto}
            DEPENDS ${root}/${proto} VERBATIM)
        list(APPEND sources ${out}/${stem}.c ${out}/${stem}.h)
    endforeach()
    if(sources)
        add_library(${NAME} STATIC ${sources})
        set_target_properties(${NAME} PROPERTIES COMPILE_OPTIONS "-w;-fPIE;-ffunction-sections")
        target_include_directories(${NAME} SYSTEM PUBLIC ${out})
        target_link_libraries(${NAME} PUBLIC PkgConfig::PROTOBUF_C)
    else()
        add_library(${NAME} INTERFACE)
        target_link_libraries(${NAME} INTERFACE PkgConfig::PROTOBUF_C)
    endif()
endfunction()
