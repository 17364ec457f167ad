/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every pair of functions by which a subsystem is told of something and told to forget it. Each has
 * functions of its own, so that a finding names the pair: take_..., give_... and again_...
 */
#include <crypto/algapi.h>
#include <crypto/internal/aead.h>
#include <crypto/internal/hash.h>
#include <crypto/internal/kpp.h>
#include <crypto/internal/skcipher.h>
#include <linux/acpi.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/inetdevice.h>
#include <linux/kdebug.h>
#include <linux/key-type.h>
#include <linux/leds.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/nls.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/pci.h>
#include <linux/perf_event.h>
#include <linux/platform_device.h>
#include <linux/reboot.h>
#include <linux/sock_diag.h>
#include <linux/suspend.h>
#include <net/act_api.h>
#include <net/addrconf.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/netevent.h>
#include <net/pkt_cls.h>
#include <net/pkt_sched.h>
#include <net/rtnetlink.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/xfrm.h>

#define NAME "freeonce-test"
#define NUMBER 77
#define BLOCK 16

/* Nobody calls what is registered here. */
static int nothing(void)
{
	return -ENODEV;
}

static int notice(struct notifier_block *block, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

static unsigned int net_id;
static struct pernet_operations subsys, device;
static struct pernet_operations actions = { .id = &net_id, .size = sizeof(struct tc_action_net) };
static struct nls_table table = {
	.charset = NAME, .uni2char = (void *)nothing, .char2uni = (void *)nothing,
};
static struct notifier_block of_devices = { .notifier_call = notice };
static struct notifier_block of_inet = { .notifier_call = notice };
static struct notifier_block of_inet6 = { .notifier_call = notice };
static struct notifier_block at_reboot = { .notifier_call = notice };
static struct notifier_block of_power = { .notifier_call = notice };
static struct notifier_block of_modules = { .notifier_call = notice };
static struct notifier_block of_death = { .notifier_call = notice };
static struct notifier_block of_memory = { .notifier_call = notice };
static struct notifier_block of_neighbours = { .notifier_call = notice };
static struct notifier_block of_acpi = { .notifier_call = notice };
static const struct pci_device_id no_device[] = { {} };
static struct pci_driver pci = { .name = NAME, .id_table = no_device };
static struct platform_driver platform = { .driver.name = NAME };
static struct platform_driver bare = {
	.driver = { .name = NAME "-bare", .bus = &platform_bus_type, .owner = THIS_MODULE },
};
static struct acpi_driver acpi = { .name = NAME, .class = NAME };
static struct file_system_type type = {
	.owner = THIS_MODULE, .name = NAME, .init_fs_context = (void *)nothing,
};
static struct rtnl_link_ops link = { .kind = NAME };
static struct Qdisc_ops qdisc = { .id = NAME, .owner = THIS_MODULE };
static struct tc_action_ops action = {
	.kind = NAME, .id = NUMBER, .owner = THIS_MODULE, .act = (void *)nothing,
	.dump = (void *)nothing, .init = (void *)nothing,
};
static struct tcf_proto_ops classifier = { .kind = NAME, .owner = THIS_MODULE };
static struct tcf_ematch_ops ematch = {
	.kind = NUMBER, .owner = THIS_MODULE, .match = (void *)nothing,
	.link = LIST_HEAD_INIT(ematch.link),
};
static struct proto protocol = {
	.name = NAME, .owner = THIS_MODULE, .obj_size = sizeof(struct sock),
};
static struct genl_family generic = { .name = NAME, .version = 1, .module = THIS_MODULE };
static struct sock_diag_handler diag = { .family = AF_X25, .dump = (void *)nothing };
static struct tcp_congestion_ops congestion = {
	.name = NAME, .owner = THIS_MODULE, .ssthresh = (void *)nothing,
	.undo_cwnd = (void *)nothing, .cong_avoid = (void *)nothing,
};
static struct xfrm_type compression = { .owner = THIS_MODULE, .proto = IPPROTO_COMP };
static struct xfrm4_protocol handler = {
	.handler = (void *)nothing, .cb_handler = (void *)nothing, .err_handler = (void *)nothing,
	.priority = NUMBER,
};
static struct nf_sockopt_ops options = {
	.pf = PF_INET, .set_optmin = 9000, .set_optmax = 9001, .owner = THIS_MODULE,
};
static struct key_type keys = { .name = NAME };
static struct pmu counter = {
	.module = THIS_MODULE, .task_ctx_nr = perf_invalid_context, .event_init = (void *)nothing,
};
static struct led_trigger trigger = { .name = NAME };

#define BASE(name) { \
	.cra_name = NAME "-" name, .cra_driver_name = NAME "-" name "-driver", \
	.cra_blocksize = BLOCK, .cra_module = THIS_MODULE }
#define CIPHER(name) { \
	.cra_name = NAME "-" name, .cra_driver_name = NAME "-" name "-driver", \
	.cra_flags = CRYPTO_ALG_TYPE_CIPHER, .cra_blocksize = BLOCK, .cra_module = THIS_MODULE, \
	.cra_u.cipher = { BLOCK, BLOCK, (void *)nothing, (void *)nothing, (void *)nothing } }
#define SHASH(name) { \
	.digestsize = BLOCK, .init = (void *)nothing, .update = (void *)nothing, \
	.final = (void *)nothing, .base = BASE(name) }
#define SKCIPHER(name) { \
	.min_keysize = BLOCK, .max_keysize = BLOCK, .ivsize = BLOCK, .setkey = (void *)nothing, \
	.encrypt = (void *)nothing, .decrypt = (void *)nothing, .base = BASE(name) }
#define AEAD(name) { \
	.maxauthsize = BLOCK, .ivsize = BLOCK, .setkey = (void *)nothing, \
	.encrypt = (void *)nothing, .decrypt = (void *)nothing, .base = BASE(name) }

static struct crypto_alg alg = CIPHER("alg");
static struct crypto_alg algs[] = { CIPHER("algs1"), CIPHER("algs2") };
static struct shash_alg shash = SHASH("shash");
static struct shash_alg shashes[] = { SHASH("shashes1"), SHASH("shashes2") };
static struct skcipher_alg skcipher = SKCIPHER("skcipher");
static struct skcipher_alg skciphers[] = { SKCIPHER("skciphers1"), SKCIPHER("skciphers2") };
static struct aead_alg aead = AEAD("aead");
static struct aead_alg aeads[] = { AEAD("aeads1"), AEAD("aeads2") };
static struct kpp_alg kpp = { .base = BASE("kpp") };
static struct crypto_template template = {
	.name = NAME "-template", .create = (void *)nothing, .module = THIS_MODULE,
};

#define PAIRS(PAIR) \
	PAIR(pernet_subsys, register_pernet_subsys(&subsys), unregister_pernet_subsys(&subsys)) \
	PAIR(pernet_device, register_pernet_device(&device), unregister_pernet_device(&device)) \
	PAIR(nls, register_nls(&table), unregister_nls(&table)) \
	PAIR(netdevice, register_netdevice_notifier(&of_devices), \
	     unregister_netdevice_notifier(&of_devices)) \
	PAIR(inetaddr, register_inetaddr_notifier(&of_inet), unregister_inetaddr_notifier(&of_inet)) \
	PAIR(inet6addr, register_inet6addr_notifier(&of_inet6), \
	     unregister_inet6addr_notifier(&of_inet6)) \
	PAIR(reboot, register_reboot_notifier(&at_reboot), unregister_reboot_notifier(&at_reboot)) \
	PAIR(pm, register_pm_notifier(&of_power), unregister_pm_notifier(&of_power)) \
	PAIR(pci, pci_register_driver(&pci), pci_unregister_driver(&pci)) \
	PAIR(platform, platform_driver_register(&platform), platform_driver_unregister(&platform)) \
	PAIR(acpi, acpi_bus_register_driver(&acpi), acpi_bus_unregister_driver(&acpi)) \
	PAIR(driver, driver_register(&bare.driver), driver_unregister(&bare.driver)) \
	PAIR(filesystem, register_filesystem(&type), unregister_filesystem(&type)) \
	PAIR(rtnl_link, rtnl_link_register(&link), rtnl_link_unregister(&link)) \
	PAIR(qdisc, register_qdisc(&qdisc), unregister_qdisc(&qdisc)) \
	PAIR(action, tcf_register_action(&action, &actions), tcf_unregister_action(&action, &actions)) \
	PAIR(classifier, register_tcf_proto_ops(&classifier), unregister_tcf_proto_ops(&classifier)) \
	PAIR(ematch, tcf_em_register(&ematch), tcf_em_unregister(&ematch)) \
	PAIR(proto, proto_register(&protocol, 0), proto_unregister(&protocol)) \
	PAIR(genl, genl_register_family(&generic), genl_unregister_family(&generic)) \
	PAIR(sock_diag, sock_diag_register(&diag), sock_diag_unregister(&diag)) \
	PAIR(congestion, tcp_register_congestion_control(&congestion), \
	     tcp_unregister_congestion_control(&congestion)) \
	PAIR(xfrm_type, xfrm_register_type(&compression, AF_INET), \
	     xfrm_unregister_type(&compression, AF_INET)) \
	PAIR(xfrm4, xfrm4_protocol_register(&handler, IPPROTO_COMP), \
	     xfrm4_protocol_deregister(&handler, IPPROTO_COMP)) \
	PAIR(sockopt, nf_register_sockopt(&options), nf_unregister_sockopt(&options)) \
	PAIR(key_type, register_key_type(&keys), unregister_key_type(&keys)) \
	PAIR(pmu, perf_pmu_register(&counter, NAME, -1), perf_pmu_unregister(&counter)) \
	PAIR(led_trigger, led_trigger_register(&trigger), led_trigger_unregister(&trigger)) \
	PAIR(alg, crypto_register_alg(&alg), crypto_unregister_alg(&alg)) \
	PAIR(algs, crypto_register_algs(algs, 2), crypto_unregister_algs(algs, 2)) \
	PAIR(shash, crypto_register_shash(&shash), crypto_unregister_shash(&shash)) \
	PAIR(shashes, crypto_register_shashes(shashes, 2), crypto_unregister_shashes(shashes, 2)) \
	PAIR(skcipher, crypto_register_skcipher(&skcipher), crypto_unregister_skcipher(&skcipher)) \
	PAIR(skciphers, crypto_register_skciphers(skciphers, 2), \
	     crypto_unregister_skciphers(skciphers, 2)) \
	PAIR(aead, crypto_register_aead(&aead), crypto_unregister_aead(&aead)) \
	PAIR(aeads, crypto_register_aeads(aeads, 2), crypto_unregister_aeads(aeads, 2)) \
	PAIR(kpp, crypto_register_kpp(&kpp), crypto_unregister_kpp(&kpp)) \
	PAIR(template, crypto_register_template(&template), crypto_unregister_template(&template)) \
	PAIR(module, register_module_notifier(&of_modules), unregister_module_notifier(&of_modules)) \
	PAIR(die, register_die_notifier(&of_death), unregister_die_notifier(&of_death)) \
	PAIR(oom, register_oom_notifier(&of_memory), unregister_oom_notifier(&of_memory)) \
	PAIR(netevent, register_netevent_notifier(&of_neighbours), \
	     unregister_netevent_notifier(&of_neighbours)) \
	PAIR(acpi_notifier, register_acpi_notifier(&of_acpi), unregister_acpi_notifier(&of_acpi))

/* No tail calls: each function has a frame of its own. */
#define FUNCTIONS(name, take, give) \
	static noinline int take_##name(void) \
	{ \
		int error = take; \
		barrier(); \
		if (error) \
			pr_err(NAME ": " #name ": %d\n", error); \
		return error; \
	} \
	static noinline void give_##name(void) \
	{ \
		give; \
		barrier(); \
	} \
	static noinline __maybe_unused void again_##name(void) \
	{ \
		give; \
		barrier(); \
	}

#define STRUCT(name, take, give) { take_##name, give_##name, again_##name },

PAIRS(FUNCTIONS)

static const struct {
	int (*take)(void);
	void (*give)(void);
	void (*again)(void);
} pairs[] = { PAIRS(STRUCT) };

static void give_all(int count)
{
	while (count--)
		pairs[count].give();
}

/* All of them, or none. */
static int __init take_all(void)
{
	int i, error;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		error = pairs[i].take();
		if (error) {
			give_all(i);
			return error;
		}
	}
	return 0;
}
