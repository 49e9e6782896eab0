// An operator's test suite as kubebuilder lays it out, run against whatever KUBEBUILDER_ASSETS holds.
package operator

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// reconciler keeps a Deployment for every ConfigMap that asks for one.
type reconciler struct{ client.Client }

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var source corev1.ConfigMap
	if err := r.Get(ctx, request.NamespacedName, &source); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	image, wanted := source.Data["image"]
	if !wanted {
		return ctrl.Result{}, nil
	}
	labels := map[string]string{"app": source.Name}
	target := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: source.Name, Namespace: source.Namespace}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, target, func() error {
		target.Spec.Replicas = ptr.To(int32(0))
		target.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
		target.Spec.Template.Labels = labels
		target.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: image}}
		return controllerutil.SetControllerReference(&source, target, r.Scheme())
	})
	return ctrl.Result{}, err
}

func eventually(t *testing.T, what string, look func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if look() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

func TestOperator(t *testing.T) {
	began := time.Now()
	environment := &envtest.Environment{}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %d ms", time.Since(began).Milliseconds())
	defer func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithCancel(ctrl.SetupSignalHandler())
	defer cancel()
	manager, err := ctrl.NewManager(config, ctrl.Options{Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ctrl.NewControllerManagedBy(manager).For(&corev1.ConfigMap{}).Owns(&appsv1.Deployment{}).Complete(&reconciler{manager.GetClient()}); err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := manager.Start(ctx); err != nil {
			t.Error(err)
		}
	}()

	typed := kubernetes.NewForConfigOrDie(config)
	version, err := typed.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("server %s", version.GitVersion)
	if _, err := typed.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "work"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	source := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "work"}, Data: map[string]string{"image": "web:1"}}
	if err := manager.GetClient().Create(ctx, source); err != nil {
		t.Fatal(err)
	}
	deployments := typed.AppsV1().Deployments("work")
	image := func() string {
		deployment, err := deployments.Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return ""
		}
		if owner := metav1.GetControllerOf(deployment); owner == nil || owner.UID != source.UID {
			t.Fatalf("owner: %v", owner)
		}
		return deployment.Spec.Template.Spec.Containers[0].Image
	}
	eventually(t, "the Deployment", func() bool { return image() == "web:1" })
	source.Data["image"] = "web:2"
	if err := manager.GetClient().Update(ctx, source); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new image", func() bool { return image() == "web:2" })
	if _, err := typed.CoreV1().Pods("work").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := typed.CoreV1().ConfigMaps("work").Create(ctx, source, metav1.CreateOptions{}); !apierrors.IsBadRequest(err) {
		t.Fatalf("a resourceVersion at create: %v", err)
	}
	if _, err := typed.CoreV1().ConfigMaps("work").Get(ctx, "absent", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatalf("absent: %v", err)
	}
	user, err := environment.AddUser(envtest.User{Name: "nobody"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kubernetes.NewForConfigOrDie(user.Config()).CoreV1().Secrets("work").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("a user without roles: %v", err)
	}
}
