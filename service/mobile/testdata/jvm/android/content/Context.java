package android.content;

/** All that the glue of gobind wants of Android. */
public class Context {}
