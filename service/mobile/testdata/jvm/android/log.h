// All that the glue of gobind wants of Android's log.
#pragma once
#include <stdio.h>
enum { ANDROID_LOG_INFO, ANDROID_LOG_FATAL };
#define __android_log_print(level, tag, ...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr))
