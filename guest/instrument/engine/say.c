// SPDX-License-Identifier: GPL-2.0
// What a scenario tells: its step, the name of an allocation, a feature that this CPU lacks.
#include <linux/export.h>
#include <linux/panic.h>
#include <linux/string.h>

#include "books/books.h"
#include "engine/engine.h"
#include "ledger/ledger.h"

void freeonce_step(const char *text, size_t length)
{
	ledger_append_text(LEDGER_STEP, 0, text, length);
}
EXPORT_SYMBOL_GPL(freeonce_step);

void freeonce_label(const void *pointer, const char *text, size_t length)
{
	ledger_append_text(LEDGER_LABEL, freeonce_serial(pointer), text, length);
}
EXPORT_SYMBOL_GPL(freeonce_label);

/* kind: 1 + the exit code of the #VMEXIT that this CPU cannot make; 0: not about an exit. */
void freeonce_unsupported(const char *text, size_t length, u32 kind)
{
	struct ledger_record record = { .type = LEDGER_UNSUPPORTED, .detail = kind };

	memcpy(record.text, text, min_t(size_t, length, LEDGER_TEXT_SIZE));
	ledger_append(&record);
}
EXPORT_SYMBOL_GPL(freeonce_unsupported);

/* A Rust panic. Its whole text is in the ledger before the kernel stops. */
void __noreturn freeonce_panic(const char *text, size_t length)
{
	size_t at;

	for (at = 0; at < length; at += LEDGER_TEXT_SIZE)
		ledger_append_text(LEDGER_PANIC, at / LEDGER_TEXT_SIZE, text + at,
				   min_t(size_t, length - at, LEDGER_TEXT_SIZE));
	panic("freeonce: Rust panic: %.*s", (int)length, text);
}
EXPORT_SYMBOL_GPL(freeonce_panic);
